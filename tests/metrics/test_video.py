import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.video import (
    delays,
    median_delay,
    peak_on_source,
    share_of_clip,
    silent_pairs,
    stability,
    switches,
)


def test_a_flat_peak_counts_by_its_share() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0], [9.0, 9.0, 0.0, 0.0]])
    truth = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 1]], dtype=torch.bool)
    assert peak_on_source(scores, truth).tolist() == [1.0, 0.25, 0.5]
    assert peak_on_source(scores, truth.float() / 2).tolist() == [1.0, 0.25, 0.5]
    assert peak_on_source(scores[:1], truth).tolist() == [1.0, 0.0, 1.0]


def test_each_clip_has_one_share() -> None:
    clips, share = share_of_clip(np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([7, 3, 7, 3]))
    assert clips.tolist() == [3, 7]
    assert share.tolist() == [[0.5], [1.0]]


CLIP = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])
TIME_S = np.array([4.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0])  # clip 0 out of order
CATEGORY = np.array(["cat", "dog", "dog", "cat", "cat", "dog", "cat", "cat+dog", "cat+dog", "bird"], dtype=object)


def test_a_switch_lasts_until_what_sounds_changes_again() -> None:
    found = switches(CLIP, TIME_S, CATEGORY)
    assert [[moment.tolist() for moment in moments] for moments in found] == [[[3], [4], [0]], [[6]]]


def test_samples_of_one_moment_belong_together() -> None:
    found = switches(np.zeros(4), np.array([0.0, 1.0, 1.0, 2.0]), np.array(["a", "b", "c", "b+c"], dtype=object))
    assert [[sorted(moment.tolist()) for moment in moments] for moments in found] == [[[1, 2], [3]]]
    assert switches(np.zeros(2), np.array([0.0, 1.0]), np.array(["a", "a+b"], dtype=object)) == []
    assert switches(np.zeros(0), np.zeros(0), np.zeros(0, object)) == []


def test_a_delay_ends_with_the_first_hit_or_is_censored() -> None:
    found = switches(CLIP, TIME_S, CATEGORY)
    hit = np.zeros(10)
    hit[[1, 4, 0]] = 1  # follows at 3 s, a second after the switch at 2 s
    waited, followed = delays(found, TIME_S, hit)
    assert waited.tolist() == [1.0, 0.0]
    assert followed.tolist() == [True, False]


def test_the_median_bears_in_mind_what_was_not_seen() -> None:
    waited = np.array([1.0, 2.0, 3.0, 4.0])
    assert median_delay(waited, np.ones(4, bool)) == 2.0
    # after 1 s 3/4 wait; the one censored at 2 s leaves 2; at 3 s one of two: 3/8
    assert median_delay(waited, np.array([True, False, True, True])) == 3.0
    assert median_delay(waited, np.array([True, False, False, False])) is None
    assert median_delay(np.zeros(0), np.zeros(0, bool)) is None


def test_pairs_of_silent_moments_are_neighbours_in_one_clip() -> None:
    clip = np.array([0, 0, 0, 1, 0])
    time_s = np.array([2.0, 0.0, 1.0, 3.0, 3.0])
    assert silent_pairs(clip, time_s, np.ones(5, bool)).tolist() == [[1, 2], [2, 0], [0, 4]]
    assert silent_pairs(clip, time_s, np.array([True, True, False, True, True])).tolist() == [[0, 4]]


def test_stability_counts_the_pixels_that_change_sides() -> None:
    first = torch.tensor([[0.1, 0.9, 0.9, 0.2]])
    second = torch.tensor([[0.9, 0.1, 0.8, 0.3]])
    assert stability(first, second, 0.5).item() == 0.5
    assert stability(first, first * 0.1, -1.0).item() == pytest.approx(1.0)
