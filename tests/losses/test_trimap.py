"""The trimap loss of LVS against values worked out by hand."""

import math

import pytest
import torch

from tavlo_pl.losses.trimap import trimap_loss


def test_two_clips_worked_out_by_hand() -> None:
    """With masks this sharp, a cell of 0.9 is source, one of 0.5 is neither, one of 0.1 is background."""
    own, other = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0.6, 0.0, 0.0])
    scores = torch.stack([torch.stack([own, other]), torch.stack([other, own])])
    # P = 0.9, easy = mean(0.6, 0, 0) = 0.2, hard = 0.1, temperature 0.5
    by_hand = -math.log(math.exp(1.8) / (math.exp(1.8) + math.exp(0.4) + math.exp(0.2)))
    assert trimap_loss(scores, sharpness=1e-3, temperature=0.5).item() == pytest.approx(by_hand, abs=1e-6)


def test_soft_masks_worked_out_by_hand() -> None:
    """One clip has no easy negative: its bright part against its dark part, both soft."""
    half, e = 0.5, math.exp(-1)  # sigmoid(0) = 1/2; sigmoid(1) = 1 / (1 + e^-1)
    scores = torch.tensor([[[0.65, 0.75]]])
    bright = [half, 1 / (1 + e)]
    dark = [1 / (1 + math.exp(2.5)), 1 / (1 + math.exp(3.5))]
    inside = (bright[0] * 0.65 + bright[1] * 0.75) / sum(bright)
    outside = (dark[0] * 0.65 + dark[1] * 0.75) / sum(dark)
    by_hand = math.log(1 + math.exp((outside - inside) / 0.07))
    assert trimap_loss(scores, sharpness=0.1).item() == pytest.approx(by_hand, abs=1e-6)


def test_scores_far_below_the_thresholds_keep_a_finite_gradient() -> None:
    scores = torch.full((2, 2, 4), -1.0, requires_grad=True)
    trimap_loss(scores).backward()
    assert scores.grad is not None and torch.isfinite(scores.grad).all()
