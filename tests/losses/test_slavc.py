"""SLAVC's objective against hand-computed values."""

import math

import pytest
import torch

from tavlo_pl.losses.slavc import match_log_likelihood, match_loss


def test_match_log_likelihood_equals_hand_computed_values() -> None:
    """Two candidates, two cells; with logarithms as scores the softmaxes are fractions."""
    localization = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]).log()  # over candidates: 3/4, 1/2 against 1/4, 1/2
    instance = torch.tensor([[[1.0, 4.0], [1.0, 1.0]]]).log()  # over cells: 1/5, 4/5 and 1/2, 1/2
    likelihood = match_log_likelihood(localization, instance, 1.0).exp()
    assert torch.allclose(likelihood, torch.tensor([[3 / 4 / 5 + 4 / 5 / 2, 1 / 4 / 2 + 1 / 2 / 2]]))


def test_match_loss_equals_hand_computed_values() -> None:
    localization = torch.tensor([[[3.0], [1.0]], [[1.0], [1.0]]]).log()  # one cell: 3/4 against 1/4, and 1/2 each
    loss = match_loss(localization, torch.zeros(2, 2, 1), 1.0)
    assert loss.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 2)) / 2, abs=1e-6)


def test_temperature_divides_both_heads() -> None:
    scores = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    cold = match_log_likelihood(scores, scores.flip(0), 0.5)
    assert torch.allclose(cold, match_log_likelihood(2 * scores, 2 * scores.flip(0), 1.0))
