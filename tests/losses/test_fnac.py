"""FNAC's regularisers against hand-computed values."""

import math

import pytest
import torch

from tavlo_pl.losses.fnac import region_features, regularisers


def test_regularisers_equal_hand_computed_values() -> None:
    """Two clips with equal audio and frames but different regions; the pair similarities are 3 to 1."""
    same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    pairs = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])  # rows (3/4, 1/4) and (1/4, 3/4)
    terms = regularisers(pairs, audio=same, visual=same, regions=apart, temperature=1.0)
    assert terms.fns_audio.item() == pytest.approx(1 / 4)  # 1/2 against 3/4 and 1/4
    assert terms.fns_visual.item() == pytest.approx(1 / 4)
    assert terms.tne.item() == pytest.approx(math.e / (math.e + 1) - 1 / 2)  # 1/2 against e : 1


def test_each_regulariser_compares_its_two_matrices() -> None:
    draw = torch.Generator().manual_seed(0)
    audio, visual = (torch.nn.functional.normalize(torch.randn(3, 4, generator=draw), dim=-1) for _ in range(2))
    terms = regularisers(visual @ visual.T, audio, visual, audio, temperature=0.1)
    assert terms.tne == 0 and terms.fns_visual == 0 and terms.fns_audio > 0.01


def test_region_features_are_the_mean_of_high_scoring_cells() -> None:
    cells = torch.tensor([[[[1.0, 0.0, 9.0]], [[0.0, 1.0, 9.0]]]])  # (1, 2, 1, 3)
    maps = torch.tensor([[[0.4, 0.5, 0.0]]])  # normalised: 0.8, 1, 0
    assert torch.allclose(region_features(cells, maps), torch.full((1, 2), math.sqrt(0.5)))
