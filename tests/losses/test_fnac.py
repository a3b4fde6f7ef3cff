"""FNAC's regularisers against values worked out by hand."""

import math

import pytest
import torch

from tavlo_pl.losses.fnac import lit_region, regularisers


def test_two_clips_worked_out_by_hand() -> None:
    """Two clips that sound the same, look the same and whose regions differ; pairs are matched 3 to 1."""
    same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    pairs = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])  # rows (3/4, 1/4) and (1/4, 3/4)
    terms = regularisers(pairs, sounds=same, pictures=same, regions=apart, temperature=1.0)
    assert terms.fns_audio.item() == pytest.approx(1 / 4)  # 1/2 against 3/4 and 1/4
    assert terms.fns_visual.item() == pytest.approx(1 / 4)
    assert terms.tne.item() == pytest.approx(math.e / (math.e + 1) - 1 / 2)  # 1/2 against e : 1


def test_each_term_has_its_own_two_matrices() -> None:
    draw = torch.Generator().manual_seed(0)
    sounds, pictures = (torch.nn.functional.normalize(torch.randn(3, 4, generator=draw), dim=-1) for _ in range(2))
    terms = regularisers(pictures @ pictures.T, sounds, pictures, sounds, temperature=0.1)
    assert terms.tne == 0 and terms.fns_visual == 0 and terms.fns_audio > 0.01


def test_lit_region_is_the_mean_of_the_bright_cells() -> None:
    cells = torch.tensor([[[[1.0, 0.0, 9.0]], [[0.0, 1.0, 9.0]]]])  # (1, 2, 1, 3)
    maps = torch.tensor([[[0.4, 0.5, 0.0]]])  # stretched: 0.8, 1, 0
    assert torch.allclose(lit_region(cells, maps), torch.full((1, 2), math.sqrt(0.5)))
