"""The MIL loss against hand-computed values."""

import math

import pytest
import torch

from tavlo_pl.losses.mil import mil_logits, mil_loss, pool_bag


def test_pool_bag_equals_hand_computed_values() -> None:
    bag = torch.tensor([[0.0, 0.2, 0.8, 0.0]])
    assert pool_bag(bag, "max").item() == pytest.approx(0.8)
    assert pool_bag(bag, "mean").item() == pytest.approx(0.25)
    by_hand = math.log((2 + math.exp(5 * 0.2) + math.exp(5 * 0.8)) / 4) / 5
    assert pool_bag(bag, "smooth_max", sharpness=5).item() == pytest.approx(by_hand, abs=1e-6)


def test_smooth_max_lies_between_mean_and_maximum() -> None:
    bags = torch.rand(50, 9) * 2 - 1
    smooth = pool_bag(bags, "smooth_max")
    assert (smooth <= bags.amax(-1) + 1e-6).all() and (smooth >= bags.mean(-1) - 1e-6).all()


def test_mil_logits_pool_the_diagonal_differently() -> None:
    scores = torch.tensor([[[[0.9, 0.1]], [[0.4, 0.0]]], [[[0.2, 0.6]], [[0.3, 0.5]]]])  # (2, 2, T=1, HW=2)
    logits = mil_logits(scores, positive="max", negative="mean")[..., 0]
    assert torch.allclose(logits, torch.tensor([[0.9, 0.2], [0.4, 0.5]]))


def test_mil_loss_equals_hand_computed_values() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.5, 0.25]])[..., None]
    rows = math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(0.25))
    columns = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-0.25))
    assert mil_loss(logits, temperature=1.0).item() == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_mil_loss_of_uniform_scores_is_two_log_b() -> None:
    assert mil_loss(torch.zeros(5, 5, 3), 0.07).item() == pytest.approx(2 * math.log(5), abs=1e-6)


def test_one_peaked_map_minimises_the_published_loss_only() -> None:
    """With the same map for every audio, the loss with the published pooling is near zero."""
    scores = torch.zeros(8, 8, 4, 49)
    scores[..., 24] = 1.0
    published = mil_loss(mil_logits(scores, "max", "mean"), 0.07)
    max_max = mil_loss(mil_logits(scores, "max", "max"), 0.07)
    assert published < 1e-3
    assert max_max.item() == pytest.approx(2 * math.log(8), abs=1e-4)


def test_mil_loss_adds_silent_audio_in_one_direction() -> None:
    logits = torch.zeros(4, 4, 3)
    silent = torch.zeros(2, 4, 3)
    assert mil_loss(logits, 0.1, silent).item() == pytest.approx(math.log(4) + math.log(6), abs=1e-6)
    assert mil_loss(logits, 0.1, silent - 100).item() == pytest.approx(2 * math.log(4), abs=1e-6)
