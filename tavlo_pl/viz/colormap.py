"""matplotlib's inferno colormap as a look-up table of 256 colours."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

INFERNO: NDArray[np.uint8] = np.rint(255 * colormaps["inferno"](np.arange(256))[:, :3]).astype(np.uint8)
"""(256, 3) RGB; row n is the colour of the score n / 255. The brightness rises from black to pale yellow."""


def colour(score: np.ndarray) -> NDArray[np.uint8]:
    """Colours of scores.

    Args:
        score: any shape, in [0, 1].

    Returns:
        The same shape with a further last axis of 3, uint8 RGB.
    """
    return np.asarray(INFERNO[to_level(score)])


def to_level(score: np.ndarray) -> NDArray[np.uint8]:
    """Rounds scores in [0, 1] to uint8 levels 0..255; scores outside of the range are clipped."""
    level: NDArray[np.uint8] = np.rint(np.clip(score, 0, 1) * 255).astype(np.uint8)
    return level
