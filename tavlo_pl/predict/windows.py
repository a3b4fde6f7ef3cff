"""Windows of a video: their start times, the times of their heatmaps, and the average of overlapping windows.

A model computes T heatmaps for a window, one a segment. The windows of a video overlap by half and start at multiples
of the segment length, so that overlapping windows have heatmaps at the same times, which are averaged without
interpolation. The weights decrease towards the ends of a window, where a segment has neighbours on one side only.

For more heatmaps a second than segments, the same windows are repeated with offsets of fractions of a segment. Each
heatmap is then computed by the model from a frame and the audio around it. Heatmaps are interpolated only if the
requested rate is no integer multiple of the segment rate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.segments import WINDOW_TAIL_S
from tavlo_pl.predict.checks import check_rate

_TOLERANCE = 1e-6
"""Times in seconds and positions on the grid that differ by less are equal."""


@dataclass(frozen=True)
class WindowPlan:
    """The windows of one video on a regular grid of times, a segment or a fraction of a segment apart.

    Index k of the grid is the centre of the first segment plus ``k * step_s``. A window that starts at index s has
    heatmaps at the indices s, s + phases, s + 2 phases and so on, one a segment.

    Attributes:
        segments: T, heatmaps of a window.
        phases: number of grid indices a segment.
        step_s: distance between two indices in seconds.
        length: number of indices of the video.
        starts: start indices of the windows, ascending.
        maps_per_second: requested rate; None for the grid itself.
    """

    segments: int
    phases: int
    step_s: float
    length: int
    starts: tuple[int, ...]
    maps_per_second: float | None

    @classmethod
    def of(cls, video_s: float, segments: int, window_s: float, maps_per_second: float | None = None) -> "WindowPlan":
        """Plans the windows of a video.

        Args:
            video_s: length of the video in seconds. A video shorter than a window has one window a phase.
            segments: T.
            window_s: length of a window in seconds.
            maps_per_second: requested rate; None for one heatmap a segment.

        Raises:
            ConfigError: see `check_rate`.
        """
        check_rate(maps_per_second)
        segment_s = window_s / segments
        phases = max(1, math.ceil((maps_per_second or 0) * segment_s - _TOLERANCE))
        step_s = segment_s / phases
        starts = []
        for phase in range(phases):
            remaining_s = video_s - WINDOW_TAIL_S - phase * step_s - window_s
            last = max(0, math.ceil(remaining_s / segment_s - _TOLERANCE))
            hops = {*range(0, last, max(1, segments // 2)), last}
            starts += [phase + phases * hop for hop in hops]
        covered = {start + phases * t for start in starts for t in range(segments)}
        inside = max(1, math.ceil((video_s - segment_s / 2) / step_s - _TOLERANCE))
        length = next(k for k in range(inside + 1) if k == inside or k not in covered)
        return cls(segments, phases, step_s, length, tuple(sorted(starts)), maps_per_second)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(T,) weights of the heatmaps of a window, decreasing towards its ends."""
        position = np.arange(self.segments)
        return np.minimum(position + 1, self.segments - position).astype(np.float64)

    def time_s(self, index: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Times of grid indices in seconds, same shape."""
        return (np.asarray(index) + self.phases / 2) * self.step_s

    def start_s(self, start: int) -> float:
        """Start time of a window in seconds."""
        return start * self.step_s

    def window_indices(self, start: int) -> NDArray[np.int64]:
        """(T,) grid indices of a window; the last ones can be beyond the end of the video."""
        return start + self.phases * np.arange(self.segments)

    def resample(self, maps: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Returns the heatmaps at the requested rate, linearly interpolated where its times are not on the grid.

        Args:
            maps: (length, h, w).

        Returns:
            (N,) times in seconds, ascending from the first index, and (N, h, w) heatmaps.
        """
        if self.maps_per_second is None:
            return self.time_s(np.arange(self.length)), maps
        stride = 1 / (self.maps_per_second * self.step_s)
        position = np.arange(math.floor((self.length - 1) / stride + _TOLERANCE) + 1) * stride
        before = np.minimum(np.rint(position).astype(np.int64), self.length - 1)
        if np.abs(position - before).max() < _TOLERANCE:
            return self.time_s(before), maps[before]
        before = np.floor(position + _TOLERANCE).astype(np.int64)
        after = np.minimum(before + 1, self.length - 1)
        fraction = np.clip(position - before, 0, 1)[:, None, None]
        mixed = (1 - fraction) * maps[before] + fraction * maps[after]
        return np.asarray((position + self.phases / 2) * self.step_s, np.float64), np.asarray(mixed, np.float32)


class WindowAverage:
    """Weighted average of the heatmaps of overlapping windows; sums are kept only until no later window adds to them.

    Args:
        plan: the windows of the video.
    """

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self._sums: dict[int, tuple[NDArray[np.float64], float]] = {}
        self._done: list[NDArray[np.float32]] = []

    def add(self, start: int, maps: NDArray[np.float32]) -> None:
        """Adds the (T, h, w) heatmaps of a window; windows are added in ascending order of `start`."""
        for k in range(len(self._done), min(start, self.plan.length)):
            self._complete(k)
        for k, weight, heatmap in zip(self.plan.window_indices(start).tolist(), self.plan.weights, maps, strict=True):
            if k < self.plan.length:
                total, weights = self._sums.get(k, (np.zeros(heatmap.shape), 0.0))
                self._sums[k] = (total + weight * heatmap, weights + weight)

    def result(self) -> NDArray[np.float32]:
        """Returns the (length, h, w) heatmaps of the video, after all windows have been added."""
        for k in range(len(self._done), self.plan.length):
            self._complete(k)
        return np.stack(self._done)

    def _complete(self, k: int) -> None:
        total, weights = self._sums.pop(k)
        self._done.append((total / weights).astype(np.float32))
