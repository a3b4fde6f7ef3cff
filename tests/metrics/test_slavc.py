import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.slavc import confidence, detection_figures
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tests.metrics import vggss


def test_agrees_with_the_evaluator_of_the_peers() -> None:
    expected = vggss.expected()
    samples = expected["slavc"]["samples"]
    visible = np.array([sample["boxes"] > 0 for sample in samples])
    scores = (vggss.maps() + 1) / 2
    truth = vggss.masks(vggss.golden_boxes().values())
    ciou = ciou_of_maps(scores, truth, [parse_rule("top_half")], "bicubic_corners")[:, 0].numpy()
    np.testing.assert_allclose(ciou[visible], [s["ciou"] for s in samples if s["boxes"]], atol=1e-6, rtol=0)
    found = confidence(vggss.maps()).numpy()
    np.testing.assert_allclose(found, [sample["conf"] for sample in samples], atol=1e-6, rtol=0)
    figures = detection_figures(ciou, found, visible, np.arange(len(samples)))
    assert figures["ap"] == pytest.approx(expected["slavc"]["ap_at_50"], abs=1e-12)
    assert figures["max_f1"] == pytest.approx(expected["slavc"]["max_f1"], abs=1e-12)
    assert figures["loc_acc"] == expected["slavc"]["precision_visible"] == 0.36
    for name in ("ap", "max_f1"):
        low, high = figures[f"{name}_interval"]  # type: ignore[misc]
        assert low < figures[name] < high


def test_figures_worked_out_by_hand() -> None:
    # by confidence: a good detection, a silent sample, a wrong place, a good detection
    ciou = np.array([0.9, 0.0, 0.2, 0.7])
    visible = np.array([True, False, True, True])
    figures = detection_figures(ciou, np.array([0.9, 0.8, 0.7, 0.6]), visible, np.arange(4))
    # thresholds 0.8, 0.7, 0.6: precision 1/2, 1/3, 2/4, recall 1/3, 1/2, 2/2
    assert figures["ap"] == pytest.approx(0.5 * (1 / 2 - 1 / 3) + 0.5 * (1 - 1 / 2))
    assert figures["max_f1"] == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert figures["loc_acc"] == 2 / 3


def test_confidence_is_the_mean_of_the_top_quarter() -> None:
    maps = torch.arange(16.0).reshape(1, 4, 4) / 8 - 1
    assert confidence(maps).item() == pytest.approx((np.mean([12, 13, 14, 15]) / 8 - 1 + 1) / 2)


def test_without_a_visible_source_there_is_no_accuracy() -> None:
    figures = detection_figures(np.zeros(3), np.array([0.1, 0.2, 0.3]), np.zeros(3, bool), np.arange(3))
    assert figures["loc_acc"] is None
    assert figures["max_f1"] == 0
