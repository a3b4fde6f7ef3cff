"""The MIL loss against values worked out by hand."""

import math

import pytest
import torch

from tavlo_pl.losses.mil import flatness_loss, mil_logits, mil_loss, mixed_loss, pause_loss, pool_bag, ranking_loss


def test_pools_of_one_bag() -> None:
    bag = torch.tensor([[0.0, 0.2, 0.8, 0.0]])
    assert pool_bag(bag, "max").item() == pytest.approx(0.8)
    assert pool_bag(bag, "mean").item() == pytest.approx(0.25)
    by_hand = math.log((2 + math.exp(5 * 0.2) + math.exp(5 * 0.8)) / 4) / 5
    assert pool_bag(bag, "smooth_max", sharpness=5).item() == pytest.approx(by_hand, abs=1e-6)


def test_smooth_maximum_lies_between_mean_and_maximum() -> None:
    bags = torch.rand(50, 9) * 2 - 1
    smooth = pool_bag(bags, "smooth_max")
    assert (smooth <= bags.amax(-1) + 1e-6).all() and (smooth >= bags.mean(-1) - 1e-6).all()


def test_published_pooling_takes_the_maximum_on_the_diagonal_only() -> None:
    scores = torch.tensor([[[[0.9, 0.1]], [[0.4, 0.0]]], [[[0.2, 0.6]], [[0.3, 0.5]]]])  # (2, 2, T=1, HW=2)
    logits = mil_logits(scores, positive="max", negative="mean")[..., 0]
    assert torch.allclose(logits, torch.tensor([[0.9, 0.2], [0.4, 0.5]]))


def test_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.5, 0.25]])[..., None]
    rows = math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(0.25))
    columns = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-0.25))
    assert mil_loss(logits, temperature=1.0).item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_knowing_nothing_costs_two_log_b() -> None:
    assert mil_loss(torch.zeros(5, 5, 3), 0.07).item() == pytest.approx(2 * math.log(5), abs=1e-6)


def test_one_peaked_map_for_every_sound_satisfies_the_published_pooling_and_no_other() -> None:
    """The pooling gap: the same picture-only map everywhere, and the published loss is near zero."""
    scores = torch.zeros(8, 8, 4, 49)
    scores[..., 24] = 1.0
    published = mil_loss(mil_logits(scores, "max", "mean"), 0.07)
    honest = mil_loss(mil_logits(scores, "max", "max"), 0.07)
    assert published < 1e-3
    assert honest.item() == pytest.approx(2 * math.log(8), abs=1e-4)


def test_quiet_sounds_are_candidates_for_the_picture_only() -> None:
    logits = torch.zeros(4, 4, 3)
    quiet = torch.zeros(2, 4, 3)
    assert mil_loss(logits, 0.1, quiet).item() == pytest.approx(math.log(4) + math.log(6), abs=1e-6)
    assert mil_loss(logits, 0.1, quiet - 100).item() == pytest.approx(2 * math.log(4), abs=1e-6)


def test_choice_by_hand() -> None:
    loss = ranking_loss(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.0]]), temperature=0.5)
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2, abs=1e-6)


def test_a_mixed_sound_belongs_to_its_own_picture_and_to_the_one_before() -> None:
    assert mixed_loss(torch.zeros(5, 5, 2), 0.1).item() == pytest.approx(math.log(4), abs=1e-6)
    logits = torch.full((5, 5, 2), -1.0)
    for i in range(5):
        logits[i, i] = logits[i, i - 1] = 1.0
    assert mixed_loss(logits, 0.1) < 1e-6
    assert mixed_loss(logits.roll(1, 1), 0.1) > 5  # one of two is wrong


def test_only_the_maps_of_wrong_sounds_must_be_flat() -> None:
    scores = torch.zeros(3, 3, 2, 4)
    scores[torch.arange(3), torch.arange(3), :, 1] = 1.0  # the right ones may have a peak
    assert flatness_loss(scores.amax(-1), scores.mean(-1), 0.1).item() == pytest.approx(0, abs=1e-6)
    scores[0, 1, :, 2] = 0.8  # one wrong pair of six: 0.8 above nothing, 0.2 in the mean
    flatness = flatness_loss(scores.amax(-1), scores.mean(-1), 0.1)
    assert flatness.item() == pytest.approx((0.8 - 0.2) / 0.1 / 6, abs=1e-5)


def test_a_clip_must_match_its_sound_better_than_its_pauses() -> None:
    own = torch.tensor([[0.8, 0.4, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]])
    silent = torch.tensor([[False, False, True, True], [False] * 4])  # the second clip has no pause
    assert pause_loss(own, silent, 0.5).item() == pytest.approx(math.log(1 + math.exp(-(0.6 - 0.1) / 0.5)), abs=1e-6)
    assert pause_loss(own, torch.zeros_like(silent), 0.5).item() == 0
