"""Where the windows of a video lie, when its maps are, and how windows that meet are blended.

A model maps T segments of a window. The windows of a video overlap by half, and begin at whole segments, so that the
maps of two windows are at the very same moments and are averaged, not interpolated; the weights fall towards a window's
ends, where a segment lacks neighbours on one side. For more maps a second than segments, the same windows are laid once
more, shifted by each fraction of a segment. So every map is one that the model made, of a picture and of the sound
around it, and none is drawn between two others, unless the wanted rate is no whole multiple of the model's own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.segments import WINDOW_TAIL_S
from tavlo_pl.errors import ConfigError

_GRACE = 1e-6
"""Seconds and shares that differ by less are the same."""


@dataclass(frozen=True)
class Plan:
    """The windows of one video, on a grid of moments that are a segment, or a fraction of one, apart.

    Moment k is the middle of the first segment plus ``k * step_s``. A window that begins with moment s maps the moments
    s, s + phases, s + 2 phases and so on, one a segment.

    Attributes:
        segments: T, maps of a window.
        phases: moments of the grid a segment.
        step_s: seconds between two moments.
        moments: how many moments the video has.
        starts: first moments of the windows, ascending.
        maps_per_second: wanted; None takes the grid as it is.
    """

    segments: int
    phases: int
    step_s: float
    moments: int
    starts: tuple[int, ...]
    maps_per_second: float | None

    @classmethod
    def of(cls, video_s: float, segments: int, window_s: float, maps_per_second: float | None = None) -> "Plan":
        """The plan of a video.

        Args:
            video_s: length of the video in seconds. One that is shorter than a window has one window a phase.
            segments: T.
            window_s: length of a window in seconds.
            maps_per_second: None for one map a segment.

        Raises:
            ConfigError: no positive number of maps.
        """
        if maps_per_second is not None and not 0 < maps_per_second < math.inf:
            raise ConfigError(f"maps_per_second is {maps_per_second}; it must be positive, 4 for example.")
        segment_s = window_s / segments
        phases = max(1, math.ceil((maps_per_second or 0) * segment_s - _GRACE))
        step_s = segment_s / phases
        starts = []
        for phase in range(phases):
            beyond_s = video_s - WINDOW_TAIL_S - phase * step_s - window_s
            last = max(0, math.ceil(beyond_s / segment_s - _GRACE))
            hops = {*range(0, last, max(1, segments // 2)), last}
            starts += [phase + phases * hop for hop in hops]
        covered = {start + phases * t for start in starts for t in range(segments)}
        inside = max(1, math.ceil((video_s - segment_s / 2) / step_s - _GRACE))
        moments = next(k for k in range(inside + 1) if k == inside or k not in covered)
        return cls(segments, phases, step_s, moments, tuple(sorted(starts)), maps_per_second)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(T,) weight of each map of a window, falling towards the window's ends."""
        place = np.arange(self.segments)
        return np.minimum(place + 1, self.segments - place).astype(np.float64)

    def moment_s(self, k: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Seconds of moments of the grid."""
        return (np.asarray(k) + self.phases / 2) * self.step_s

    def start_s(self, start: int) -> float:
        """Where a window begins, in seconds."""
        return start * self.step_s

    def of_window(self, start: int) -> NDArray[np.int64]:
        """(T,) moments of a window; the last may lie behind the video's end."""
        return start + self.phases * np.arange(self.segments)

    def resampled(self, maps: NDArray[np.float16]) -> tuple[NDArray[np.float64], NDArray[np.float16]]:
        """The maps at the wanted rate, linear between two moments where the rate does not meet the grid.

        Args:
            maps: (moments, h, w).

        Returns:
            (N,) seconds, ascending from the first moment to the last, and (N, h, w) maps.
        """
        if self.maps_per_second is None:
            return self.moment_s(np.arange(self.moments)), maps
        stride = 1 / (self.maps_per_second * self.step_s)
        place = np.arange(math.floor((self.moments - 1) / stride + _GRACE) + 1) * stride
        before = np.minimum(np.rint(place).astype(np.int64), self.moments - 1)
        if np.abs(place - before).max() < _GRACE:
            return self.moment_s(before), maps[before]
        before = np.floor(place + _GRACE).astype(np.int64)
        after = np.minimum(before + 1, self.moments - 1)
        share = np.clip(place - before, 0, 1)[:, None, None]
        mixed = (1 - share) * maps[before] + share * maps[after]
        return np.asarray((place + self.phases / 2) * self.step_s, np.float64), np.asarray(mixed, np.float16)


class Blender:
    """Takes the maps of windows in the order of their starts and hands out each moment that is complete.

    Args:
        plan: of the video.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._open: dict[int, tuple[NDArray[np.float64], float]] = {}
        self._done: list[NDArray[np.float16]] = []

    def add(self, start: int, maps: NDArray[np.float32]) -> None:
        """Takes the (T, h, w) maps of the window that begins with moment `start`; no later window begins earlier."""
        for k in range(len(self._done), min(start, self.plan.moments)):
            self._close(k)
        for k, weight, one in zip(self.plan.of_window(start).tolist(), self.plan.weights, maps, strict=True):
            if k < self.plan.moments:
                total, weights = self._open.get(k, (np.zeros(one.shape), 0.0))
                self._open[k] = (total + weight * one, weights + weight)

    def maps(self) -> NDArray[np.float16]:
        """(moments, h, w) maps of the whole video, once all windows are in."""
        for k in range(len(self._done), self.plan.moments):
            self._close(k)
        return np.stack(self._done)

    def _close(self, k: int) -> None:
        total, weights = self._open.pop(k)
        self._done.append((total / weights).astype(np.float16))
