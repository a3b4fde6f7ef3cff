"""Times of windows and heatmaps, resampling, and the average of overlapping windows."""

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.windows import WindowAverage, WindowPlan


@pytest.mark.parametrize(
    ("video_s", "starts_s"),
    [
        (4.0, [0]),
        (10.0, [0]),
        (10.1, [0]),  # padding of the audio
        (13.0, [0, 3]),
        (20.0, [0, 5, 10]),
        (25.5, [0, 5, 10, 15, 16]),
    ],
)
def test_windows_overlap_by_half_and_cover_the_video(video_s: float, starts_s: list[float]) -> None:
    plan = WindowPlan.of(video_s, 10, 10.0)
    assert [plan.start_s(start) for start in plan.starts] == starts_s
    assert plan.time_s(np.arange(plan.length)).tolist() == pytest.approx(np.arange(int(video_s)) + 0.5, abs=1e-9)


@pytest.mark.parametrize("video_s", [0.3, 1.0, 3.9, 4.0, 10.0, 10.3, 61.7])
@pytest.mark.parametrize("rate", [None, 1.0, 2.0, 4.0, 5.0, 7.3])
def test_windows_cover_every_time_of_the_video(video_s: float, rate: float | None) -> None:
    plan = WindowPlan.of(video_s, 8, 4.0, rate)
    covered = {k for start in plan.starts for k in plan.window_indices(start).tolist()}
    assert set(range(plan.length)) <= covered
    last_s = plan.time_s(plan.length - 1)
    assert last_s < max(video_s, 0.26)
    assert last_s > video_s - 0.5 - 1e-9 or plan.length == 1
    assert list(plan.starts) == sorted(set(plan.starts))


def test_higher_rate_repeats_windows_with_an_offset() -> None:
    plan = WindowPlan.of(10.0, 10, 10.0, 4.0)
    assert plan.phases == 4 and [plan.start_s(start) for start in plan.starts] == [0, 0.25, 0.5, 0.75]
    time_s, maps = plan.resample(np.arange(plan.length, dtype=np.float16)[:, None, None])
    assert time_s == pytest.approx(0.5 + np.arange(38) / 4)
    assert maps[:, 0, 0].tolist() == list(range(38))  # none is interpolated


@pytest.mark.parametrize(("rate", "phases"), [(0.5, 1), (1.5, 1), (2.5, 2), (3.0, 2)])
def test_resample_interpolates_rates_off_the_grid(rate: float, phases: int) -> None:
    plan = WindowPlan.of(20.0, 8, 4.0, rate)
    assert plan.phases == phases
    at_s = plan.time_s(np.arange(plan.length))
    time_s, maps = plan.resample(at_s.astype(np.float16)[:, None, None])
    assert np.diff(time_s) == pytest.approx(1 / rate)
    assert maps[:, 0, 0] == pytest.approx(time_s, abs=0.02)


def test_window_average_weights_decrease_towards_the_ends() -> None:
    plan = WindowPlan.of(12.0, 8, 8.0)
    assert plan.starts == (0, 4)
    average = WindowAverage(plan)
    for start, value in ((0, 0.0), (4, 1.0)):
        average.add(start, np.full((8, 1, 2), value, np.float32))
    values = average.result()[:, 0, 0]
    assert values == pytest.approx([0, 0, 0, 0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1, 1, 1], abs=1e-3)


def test_plan_rejects_rates_that_are_not_positive_and_finite() -> None:
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="maps_per_second"):
            WindowPlan.of(10.0, 10, 10.0, rate)
