import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.baselines import centred_disk, random_maps
from tavlo_pl.metrics.functional.ciou import (
    ceiling,
    ciou,
    ciou_at_50,
    ciou_auc,
    ciou_mean,
    ciou_of_maps,
    ciou_of_pixels,
    scene_minimum,
)
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tests.metrics import vggss


@pytest.mark.parametrize(("rule", "golden"), [("top_half", "rule_half"), ("adaptive", "rule_adaptive")])
def test_agrees_with_the_evaluators_of_the_peers(rule: str, golden: str) -> None:
    expected = vggss.expected()
    truth = vggss.masks(vggss.golden_boxes().values())
    values = ciou_of_maps(vggss.maps(), truth, [parse_rule(rule)], "bilinear_corners")[:, 0].numpy()
    np.testing.assert_allclose(values, expected[golden]["ciou"], atol=1e-6, rtol=0)
    assert ciou_at_50(values) == expected[golden]["ciou_at_50"]
    if golden == "rule_half":
        assert ciou_auc(values) == expected[golden]["auc"]
        assert ciou_mean(values) == pytest.approx(expected[golden]["ciou_mean"], abs=1e-6)


def test_trivial_rows_of_vggss_are_the_known_ones() -> None:
    rule = parse_rule("top_half")
    boxes = list(vggss.all_boxes().values())
    assert len(boxes) == 5158
    disk = centred_disk((vggss.SIZE, vggss.SIZE)).reshape(1, -1)
    areas, disks = [], []
    for start in range(0, len(boxes), 512):
        truth = vggss.masks(boxes[start : start + 512]).flatten(1)
        areas.append(truth.sum(1))
        disks.append(ciou_of_pixels(disk, truth, [rule])[:, 0])
    area = torch.cat(areas)
    figures = {
        "ceiling": ceiling(area, vggss.SIZE**2, rule).numpy(),
        "disk": torch.cat(disks).numpy(),
        "whole": (area.double() / vggss.SIZE**2).numpy(),
    }
    percent = {name: (100 * ciou_at_50(v), 100 * ciou_auc(v)) for name, v in figures.items()}
    assert percent["ceiling"] == pytest.approx((50.54, 49.47), abs=0.005)
    assert percent["disk"] == pytest.approx((34.02, 37.44), abs=0.005)
    assert percent["whole"] == pytest.approx((21.95, 31.25), abs=0.005)


def test_ciou_is_iou_and_zero_for_an_empty_target() -> None:
    claimed = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    truth = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    assert ciou(claimed, truth).tolist() == [1 / 3, 0.0, 0.0]


def test_weights_count_where_annotators_agree() -> None:
    claimed = torch.tensor([[1, 1, 1, 0, 0]], dtype=torch.bool)
    truth = torch.tensor([[1.0, 0.5, 0.0, 0.5, 0.0]])
    assert ciou(claimed, truth).item() == 1.5 / (2 + 1)
    assert ciou(claimed & False, truth * 0).item() == 0
    whole = (truth > 0.9) | (truth < 0)
    assert ciou(claimed, whole.float()).item() == ciou(claimed, whole).item()


@pytest.mark.parametrize("rule", ["top_half", "top_tenth", "adaptive", "fixed:0.4"])
def test_the_ceiling_of_weights_is_what_the_best_map_reaches(rule: str) -> None:
    truth = torch.cat([torch.ones(30), torch.full((25,), 0.5), torch.zeros(45)])[None]
    best = torch.linspace(1, 0, 100)[None]  # fixed:0.4 claims 60
    limit = ceiling(torch.tensor([55]), 100, parse_rule(rule), torch.tensor([42.5], dtype=torch.float64)).item()
    reached = ciou_of_pixels(best, truth, [parse_rule(rule)]).item()
    assert limit == reached if rule != "fixed:0.4" else limit == 1 > reached


def test_a_scene_is_as_good_as_its_worst_source() -> None:
    values = np.array([[0.9], [0.2], [0.6], [0.7]])
    assert scene_minimum(values, np.array(["b", "a", "b", "b"])).tolist() == [[0.2], [0.6]]


def test_auc_is_the_trapezoid_of_the_survival_curve() -> None:
    values = np.array([0.0, 0.15, 0.33, 0.5, 1.0])
    thresholds = np.arange(21) * 0.05
    survival = (values[:, None] >= thresholds).mean(0)
    assert survival[3] == 0.6, "the peers' third threshold is 0.15000000000000002"
    assert ciou_auc(values) == pytest.approx(np.trapezoid(survival, thresholds), abs=1e-15)


@pytest.mark.parametrize("rule", ["top_half", "top_tenth", "adaptive"])
@pytest.mark.parametrize("area", [0, 1, 5, 10, 40, 50, 64, 95, 100])
def test_ceiling_is_what_the_best_map_reaches(rule: str, area: int) -> None:
    truth = torch.arange(100)[None] < area
    best = -torch.arange(100.0)[None]
    parsed = parse_rule(rule)
    assert ceiling(truth.sum(1), 100, parsed).item() == ciou_of_pixels(best, truth, [parsed]).item()


def test_ceiling_of_a_fixed_threshold_is_one() -> None:
    assert ceiling(torch.tensor([0, 7]), 100, parse_rule("fixed:0.5")).tolist() == [0.0, 1.0]


def test_interpolation_moves_the_values() -> None:
    truth = torch.zeros(8, 56, 56, dtype=torch.bool)
    truth[:, 10:30, 15:40] = True
    maps = random_maps(torch.arange(8))
    rules = [parse_rule("top_half")]
    bilinear, corners, bicubic = (
        ciou_of_maps(maps, truth, rules, mode) for mode in ("bilinear", "bilinear_corners", "bicubic")
    )
    assert not torch.equal(bilinear, corners)
    assert not torch.equal(bilinear, bicubic)


def test_random_maps_depend_on_the_index_alone() -> None:
    maps = random_maps(torch.tensor([5, 3, 10_000_000]))
    assert torch.equal(maps[1:2], random_maps(torch.tensor([3])))
    assert not torch.equal(maps[0], maps[1])
    many = random_maps(torch.arange(2000))
    assert many.min() >= 0
    assert many.max() < 1
    assert many.mean().item() == pytest.approx(0.5, abs=0.01)
    assert many.var().item() == pytest.approx(1 / 12, abs=0.003)
    flat = many.flatten(1)
    assert abs(torch.corrcoef(torch.stack([flat[:-1].flatten(), flat[1:].flatten()]))[0, 1].item()) < 0.02


def test_the_centred_disk_is_round_and_in_the_middle() -> None:
    claimed = centred_disk((64, 64)) >= -16
    rows, columns = claimed.nonzero(as_tuple=True)
    assert rows.double().mean() == columns.double().mean() == 31.5
    assert claimed.sum().item() == pytest.approx(np.pi * 16**2, rel=0.02)
