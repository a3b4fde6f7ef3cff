"""The trimap loss of LVS against hand-computed values."""

import math

import pytest
import torch

from tavlo_pl.losses.trimap import trimap_loss


def test_trimap_loss_of_sharp_masks() -> None:
    """With sharp masks, a cell of 0.9 is source, 0.5 is neither, 0.1 is background."""
    own, other = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0.6, 0.0, 0.0])
    scores = torch.stack([torch.stack([own, other]), torch.stack([other, own])])
    # P = 0.9, easy = mean(0.6, 0, 0) = 0.2, hard = 0.1, temperature 0.5
    by_hand = -math.log(math.exp(1.8) / (math.exp(1.8) + math.exp(0.4) + math.exp(0.2)))
    assert trimap_loss(scores, sharpness=1e-3, temperature=0.5).item() == pytest.approx(by_hand, abs=1e-6)


def test_trimap_loss_of_soft_masks() -> None:
    """One clip has no easy negative: the loss compares its positive and its negative cells, both soft."""
    half, e = 0.5, math.exp(-1)  # sigmoid(0) = 1/2; sigmoid(1) = 1 / (1 + e^-1)
    scores = torch.tensor([[[0.65, 0.75]]])
    positive = [half, 1 / (1 + e)]
    negative = [1 / (1 + math.exp(2.5)), 1 / (1 + math.exp(3.5))]
    inside = (positive[0] * 0.65 + positive[1] * 0.75) / sum(positive)
    outside = (negative[0] * 0.65 + negative[1] * 0.75) / sum(negative)
    by_hand = math.log(1 + math.exp((outside - inside) / 0.07))
    assert trimap_loss(scores, sharpness=0.1).item() == pytest.approx(by_hand, abs=1e-6)


def test_trimap_loss_has_a_finite_gradient_at_low_scores() -> None:
    scores = torch.full((2, 2, 4), -1.0, requires_grad=True)
    trimap_loss(scores).backward()
    assert scores.grad is not None and torch.isfinite(scores.grad).all()
