"""The sharpest frames of a region: variance of the Laplacian, with a minimum distance in time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def sharpness(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) variance of the 4-neighbour Laplacian of the luma of (N, H, W, 3) RGB frames."""
    found = np.empty(len(frames))
    for number, frame in enumerate(frames):
        grey = frame @ LUMA
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
        found[number] = laplacian.var()
    return found


def sharpest(values: Sequence[float], times_s: Sequence[float], count: int, apart_s: float) -> list[int]:
    """Positions of the sharpest frames, ascending; each is at least `apart_s` seconds from all others.

    Args:
        values: sharpness of the frames.
        times_s: their times in seconds.
        count: maximum number of frames.
        apart_s: minimum distance in seconds.
    """
    chosen: list[int] = []
    for position in sorted(range(len(values)), key=lambda n: (-values[n], n)):
        if len(chosen) == count:
            break
        if all(abs(times_s[position] - times_s[other]) >= apart_s for other in chosen):
            chosen.append(position)
    return sorted(chosen)
