from fractions import Fraction

import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional import upsample as upsampling
from tavlo_pl.metrics.functional.pooled import universal_threshold
from tavlo_pl.metrics.functional.thresholds import (
    binarise,
    parse_rule,
    universal_quantile,
)
from tavlo_pl.metrics.functional.upsample import upsample


def claimed(rule: str, scores: torch.Tensor, area: int = 7) -> int:
    return int(binarise(scores[None], parse_rule(rule), torch.tensor([area])).sum())


def test_the_rules_claim_the_pixels_they_name() -> None:
    scores = torch.randperm(50176, generator=torch.Generator().manual_seed(0)).float()
    assert claimed("top_half", scores) == 25088
    assert claimed("top_tenth", scores) == 50176 - 45158
    assert claimed("adaptive", scores, area=1000) == 999
    assert claimed("adaptive", scores, area=50176) == 50175
    assert claimed("adaptive", scores, area=0) == 50176 // 2 - 1
    assert claimed("fixed:50000", scores) == 176
    assert claimed("fixed:-0.5", scores) == 50176


def test_the_claimed_pixels_are_the_highest() -> None:
    scores = torch.tensor([0.3, -0.9, 0.8, 0.1, -0.2, 0.9, 0.0, 0.5, -0.5, 0.7])
    assert scores[binarise(scores[None], parse_rule("top_half"), torch.tensor([3]))[0]].min() == 0.3
    assert scores[binarise(scores[None], parse_rule("adaptive"), torch.tensor([3]))[0]].tolist() == pytest.approx(
        [0.8, 0.9]
    )


def test_ties_at_the_threshold() -> None:
    constant = torch.zeros(100)
    assert claimed("top_half", constant) == 100
    assert claimed("adaptive", constant) == 0


def test_shared_map_has_one_threshold_per_sample() -> None:
    scores = torch.rand(1, 100, generator=torch.Generator().manual_seed(0))
    area = torch.tensor([5, 50])
    for rule in map(parse_rule, ("top_half", "adaptive", "fixed:0.5")):
        assert torch.equal(binarise(scores, rule, area), binarise(scores.repeat(2, 1), rule, area))


@pytest.mark.parametrize(
    "name", ["top10", "fixed", "fixed:", "fixed:x", "fixed:1/0", "universal:1.5", "top_half:1", ""]
)
def test_unknown_rules_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match=r"Unknown threshold rule .* use top_half, top_tenth, adaptive, fixed:"):
        parse_rule(name)


def test_universal_is_no_rule_of_one_map() -> None:
    with pytest.raises(ConfigError, match="one threshold for a whole run"):
        claimed("universal:0.9", torch.zeros(4))
    with pytest.raises(ConfigError, match="off-screen rule 'top_half'"):
        universal_quantile("top_half")


@pytest.mark.parametrize("quantile", ["0", "0.1", "0.5", "0.9", "0.99", "1"])
def test_the_universal_threshold_is_exact(quantile: str) -> None:
    maps = torch.randn(30, 7, 7, generator=torch.Generator().manual_seed(0))  # both signs, several chunks
    maps[3] = 0.25
    upsampled = upsample(maps, (112, 112)).flatten().sort().values
    rank = min(int(Fraction(quantile) * upsampled.numel()), upsampled.numel() - 1)
    assert universal_threshold(maps, Fraction(quantile), (112, 112)) == upsampled[rank].item()


def test_the_universal_threshold_of_constant_maps_and_of_none() -> None:
    assert universal_threshold(torch.full((3, 2, 2), -0.5), Fraction(9, 10), (8, 8)) == -0.5
    assert str(universal_threshold(torch.full((3, 2, 2), -0.0), Fraction(9, 10), (8, 8))) == "0.0"
    with pytest.raises(ConfigError, match="there are none"):
        universal_threshold(torch.zeros(0, 2, 2), Fraction(9, 10), (8, 8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bilinear_corners", "bicubic", "bicubic_corners"])
def test_upsampling_does_not_depend_on_batch_mates(interpolation: upsampling.Interpolation) -> None:
    maps = torch.randn(67, 7, 7, generator=torch.Generator().manual_seed(0))
    together = upsample(maps, (224, 224), interpolation)
    for size in (1, 2, 5, 33):
        assert torch.equal(
            torch.cat([upsample(part, (224, 224), interpolation) for part in maps.split(size)]), together
        )


def test_upsampling_corners() -> None:
    cells = torch.tensor([[[0.0, 1.0]]])
    assert upsample(cells, (4, 4))[0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
    assert upsample(cells, (4, 4), "bilinear_corners")[0, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    with pytest.raises(ConfigError, match="Unknown interpolation 'nearest'"):
        upsample(cells, (4, 4), "nearest")  # type: ignore[arg-type]
