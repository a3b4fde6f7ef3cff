"""Where windows and moments lie, and that blending gives each moment what the windows say of it."""

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.windows import Blender, Plan


@pytest.mark.parametrize(
    ("video_s", "starts_s"),
    [
        (4.0, [0]),
        (10.0, [0]),
        (10.1, [0]),  # padding of the sound
        (13.0, [0, 3]),
        (20.0, [0, 5, 10]),
        (25.5, [0, 5, 10, 15, 16]),
    ],
)
def test_windows_overlap_by_half_and_cover_the_video(video_s: float, starts_s: list[float]) -> None:
    plan = Plan.of(video_s, 10, 10.0)
    assert [plan.start_s(start) for start in plan.starts] == starts_s
    assert plan.moment_s(np.arange(plan.moments)).tolist() == pytest.approx(np.arange(int(video_s)) + 0.5, abs=1e-9)


@pytest.mark.parametrize("video_s", [0.3, 1.0, 3.9, 4.0, 10.0, 10.3, 61.7])
@pytest.mark.parametrize("rate", [None, 1.0, 2.0, 4.0, 5.0, 7.3])
def test_every_moment_has_a_window_and_none_is_behind_the_end(video_s: float, rate: float | None) -> None:
    plan = Plan.of(video_s, 8, 4.0, rate)
    covered = {k for start in plan.starts for k in plan.of_window(start).tolist()}
    assert set(range(plan.moments)) <= covered
    last_s = plan.moment_s(plan.moments - 1)
    assert last_s < max(video_s, 0.26)
    assert last_s > video_s - 0.5 - 1e-9 or plan.moments == 1
    assert list(plan.starts) == sorted(set(plan.starts))


def test_more_maps_a_second_are_windows_shifted_by_fractions_of_a_segment() -> None:
    plan = Plan.of(10.0, 10, 10.0, 4.0)
    assert plan.phases == 4 and [plan.start_s(start) for start in plan.starts] == [0, 0.25, 0.5, 0.75]
    time_s, maps = plan.resampled(np.arange(plan.moments, dtype=np.float16)[:, None, None])
    assert time_s == pytest.approx(0.5 + np.arange(38) / 4)
    assert maps[:, 0, 0].tolist() == list(range(38))  # none is drawn between two others


@pytest.mark.parametrize(("rate", "phases"), [(0.5, 1), (1.5, 1), (2.5, 2), (3.0, 2)])
def test_a_rate_that_does_not_meet_the_grid_is_interpolated(rate: float, phases: int) -> None:
    plan = Plan.of(20.0, 8, 4.0, rate)
    assert plan.phases == phases
    at_s = plan.moment_s(np.arange(plan.moments))
    time_s, maps = plan.resampled(at_s.astype(np.float16)[:, None, None])
    assert np.diff(time_s) == pytest.approx(1 / rate)
    assert maps[:, 0, 0] == pytest.approx(time_s, abs=0.02)


def test_windows_that_meet_are_averaged_by_weights_that_fall_towards_their_ends() -> None:
    plan = Plan.of(12.0, 8, 8.0)
    assert plan.starts == (0, 4)
    blender = Blender(plan)
    for start, value in ((0, 0.0), (4, 1.0)):
        blender.add(start, np.full((8, 1, 2), value, np.float32))
    values = blender.maps()[:, 0, 0]
    assert values == pytest.approx([0, 0, 0, 0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1, 1, 1], abs=1e-3)


def test_no_rate_is_refused() -> None:
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="maps_per_second"):
            Plan.of(10.0, 10, 10.0, rate)
