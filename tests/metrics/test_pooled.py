"""Quantiles over all maps: every way of counting gives the value of a sort."""

from fractions import Fraction

import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional import pooled
from tavlo_pl.metrics.functional.pooled import pooled_quantiles, universal_threshold
from tavlo_pl.metrics.functional.upsample import upsample

SIZE = (36, 64)
QUANTILES = [Fraction(text) for text in ("0", "0.1", "0.5", "0.8", "0.85", "0.9", "0.99", "1")]


def noise(kind: str) -> torch.Tensor:
    """(40, 7, 7) maps: of both signs, far from zero, with many equal values, or with outliers in few maps."""
    maps = torch.randn(40, 7, 7, generator=torch.Generator().manual_seed(0))
    if kind == "narrow":
        return 0.5 + maps / 100
    if kind == "ties":
        return maps.round()
    if kind == "outliers":
        maps[7] += 1000
    return maps


@pytest.mark.parametrize("kind", ["wide", "narrow", "ties", "outliers"])
@pytest.mark.parametrize("way", ["sort", "intervals", "sampled", "two passes"])
def test_every_way_of_counting_is_exact(kind: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "sort":
        monkeypatch.setattr(pooled, "FEW_PIXELS", 0)
    if way == "sampled":  # so few pixels that some intervals miss the quantile
        monkeypatch.setattr(pooled, "SAMPLED_MAPS", 2)
        monkeypatch.setattr(pooled, "SAMPLED_PIXELS", 20)
    if way == "two passes":
        monkeypatch.setattr(pooled, "LARGEST_INTERVAL", 0)
    maps = noise(kind)
    ordered = upsample(maps, SIZE).flatten().sort().values
    expected = [ordered[min(int(q * len(ordered)), len(ordered) - 1)].item() for q in QUANTILES]
    assert pooled_quantiles(maps, QUANTILES, SIZE) == expected
    assert [universal_threshold(maps, q, SIZE) for q in QUANTILES] == expected


@pytest.mark.parametrize("way", ["intervals", "two passes"])
def test_negative_zero_is_zero(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "FEW_PIXELS", 0)
    if way == "two passes":
        monkeypatch.setattr(pooled, "LARGEST_INTERVAL", 0)
    assert str(universal_threshold(torch.full((3, 2, 2), -0.0), Fraction(9, 10), SIZE)) == "0.0"


def test_cells_and_maxima_are_other_pools() -> None:
    maps = noise("wide")
    cells, highest = maps.flatten().sort().values, upsample(maps, SIZE).flatten(1).amax(1).sort().values
    assert universal_threshold(maps, Fraction(9, 10), SIZE, values="cells") == cells[int(0.9 * len(cells))]
    assert universal_threshold(maps, Fraction(9, 10), SIZE, values="maxima") == highest[36]


def test_nothing_to_pool_is_an_error() -> None:
    with pytest.raises(ConfigError, match="there are none: give such frames too"):
        pooled_quantiles(torch.zeros(0, 2, 2), QUANTILES, SIZE)
