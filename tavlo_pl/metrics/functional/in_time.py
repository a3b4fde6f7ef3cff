"""The map of a moment between the maps of a clip."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Blend(NamedTuple):
    """Linear interpolation of N moments between T maps: ``(1 - weight) * maps[first] + weight * maps[second]``.

    Attributes:
        first: (N,) int64, the last map that is not after the moment; the first map for earlier moments.
        second: (N,) int64, the map after it; equal to `first` where the weight is 0.
        weight: (N,) float32 in [0, 1).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float32]


def blend_in_time(map_time_s: NDArray[np.float64], at_s: NDArray[np.float64]) -> Blend:
    """Linear interpolation in time; before the first and after the last map that map is used.

    Args:
        map_time_s: (T,) times of the maps in ascending order, in seconds or any other unit.
        at_s: (N,) moments in the same unit.
    """
    last = len(map_time_s) - 1
    after = np.searchsorted(map_time_s, at_s, side="right")
    first, second = np.clip(after - 1, 0, last), np.clip(after, 0, last)
    span = map_time_s[second] - map_time_s[first]
    passed = np.clip(at_s - map_time_s[first], 0, span)
    weight = (passed / np.where(span > 0, span, 1)).astype(np.float32)
    return Blend(first.astype(np.int64), np.where(weight > 0, second, first).astype(np.int64), weight)
