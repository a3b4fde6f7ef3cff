"""The inferno colours (Smith and van der Walt, CC0) as a table of 256, from nine of its own colours.

Brightness rises evenly from black to pale yellow, so that more score never looks like less.
"""

import numpy as np

INFERNO_STOPS = (
    (0, 0, 4),
    (31, 12, 72),
    (85, 15, 109),
    (136, 34, 106),
    (186, 54, 85),
    (227, 89, 51),
    (249, 140, 10),
    (249, 201, 50),
    (252, 255, 164),
)
"""RGB at the scores 0, 1/8, …, 1, with straight lines between them."""


def _table() -> np.ndarray:
    level = np.linspace(0, 1, 256)
    stop = np.linspace(0, 1, len(INFERNO_STOPS))
    channels = [np.interp(level, stop, channel) for channel in zip(*INFERNO_STOPS, strict=True)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


INFERNO = _table()
"""(256, 3) uint8 RGB; row n is the colour of the score n / 255."""


def colour(score: np.ndarray) -> np.ndarray:
    """Colours of scores.

    Args:
        score: any shape, in [0, 1].

    Returns:
        The same shape with a last axis of 3 more, uint8 RGB.
    """
    return INFERNO[to_level(score)]


def to_level(score: np.ndarray) -> np.ndarray:
    """Scores in [0, 1] as uint8 levels 0..255, rounded; what lies outside is clipped."""
    return np.rint(np.clip(score, 0, 1) * 255).astype(np.uint8)
