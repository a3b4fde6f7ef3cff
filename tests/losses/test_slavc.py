"""SLAVC's objective against values worked out by hand."""

import math

import pytest
import torch

from tavlo_pl.losses.slavc import match_log_likelihood, match_loss


def test_likelihood_worked_out_by_hand() -> None:
    """Two candidates, two cells; logarithms of the scores make the softmaxes plain fractions."""
    localization = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]).log()  # which: 3/4, 1/2 against 1/4, 1/2
    instance = torch.tensor([[[1.0, 4.0], [1.0, 1.0]]]).log()  # where: 1/5, 4/5 and 1/2, 1/2
    likelihood = match_log_likelihood(localization, instance, 1.0).exp()
    assert torch.allclose(likelihood, torch.tensor([[3 / 4 / 5 + 4 / 5 / 2, 1 / 4 / 2 + 1 / 2 / 2]]))


def test_loss_worked_out_by_hand() -> None:
    localization = torch.tensor([[[3.0], [1.0]], [[1.0], [1.0]]]).log()  # one cell: 3/4 against 1/4, and 1/2 each
    loss = match_loss(localization, torch.zeros(2, 2, 1), 1.0)
    assert loss.item() == pytest.approx((-math.log(3 / 4) - math.log(1 / 2)) / 2, abs=1e-6)


def test_temperature_divides_both_heads() -> None:
    scores = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(0))
    cold = match_log_likelihood(scores, scores.flip(0), 0.5)
    assert torch.allclose(cold, match_log_likelihood(2 * scores, 2 * scores.flip(0), 1.0))
