"""Paired differences against what is known of them without a bootstrap."""

import numpy as np
import pytest

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.paired import paired_differences

VIDEOS, FRAMES = 40, 5
CLIP = np.repeat(np.arange(VIDEOS), FRAMES)


@pytest.fixture
def hard_and_easy() -> np.ndarray:
    """(N, 1) values that differ much between samples."""
    return np.random.default_rng(0).random((VIDEOS * FRAMES, 1))


def test_a_constant_lead_is_certain_however_much_samples_differ(hard_and_easy: np.ndarray) -> None:
    (found,) = paired_differences(hard_and_easy, hard_and_easy + 0.01, CLIP)
    assert found.difference == pytest.approx(0.01)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert found.verdict == "higher"
    assert (found.samples, found.clips) == (200, 40)
    # Two intervals apart would not have shown it.
    first, second = (bootstrap_interval(values, CLIP)[:, 0] for values in (hard_and_easy, hard_and_easy + 0.01))
    assert second[0] < first[1]


def test_the_other_way_round_the_signs_turn(hard_and_easy: np.ndarray) -> None:
    other = hard_and_easy + np.random.default_rng(1).normal(0.1, 0.2, hard_and_easy.shape)
    (there,) = paired_differences(hard_and_easy, other, CLIP)
    (back,) = paired_differences(other, hard_and_easy, CLIP)
    assert (back.low, back.difference, back.high) == pytest.approx((-there.high, -there.difference, -there.low))
    assert (there.verdict, back.verdict) == ("higher", "lower")
    assert (there.first, there.second) == (back.second, back.first)


def test_no_difference_is_shown_where_there_is_none(hard_and_easy: np.ndarray) -> None:
    noise = np.random.default_rng(2).normal(0, 0.2, (VIDEOS, 1)).repeat(FRAMES, axis=0)
    (found,) = paired_differences(hard_and_easy, hard_and_easy + noise - noise.mean(), CLIP)
    assert found.low < 0 < found.high
    assert found.verdict == "no difference shown"


def test_frames_of_one_video_count_as_one_draw() -> None:
    """The interval of a mean over videos is as wide for five equal frames a video as for one."""
    lead = np.random.default_rng(3).normal(0, 1, (VIDEOS, 1))
    (many,) = paired_differences(np.zeros((200, 1)), lead.repeat(FRAMES, axis=0), CLIP)
    (one,) = paired_differences(np.zeros((40, 1)), lead, np.arange(VIDEOS))
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_one_video_tells_nothing() -> None:
    (found,) = paired_differences(np.zeros((3, 1)), np.ones((3, 1)), np.zeros(3, int))
    assert found.difference == 1
    assert found.verdict == "one video tells nothing"


def test_each_figure_is_compared_by_itself() -> None:
    first = np.zeros((200, 2))
    up, down = paired_differences(first, first + np.array([1, -1]), CLIP)
    assert (up.verdict, down.verdict) == ("higher", "lower")
