import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.avsbench import THRESHOLDS, f_curve, mask_iou, probability, segmentation_figures


def maps(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = probability(torch.randn(count, 400, generator=generator) * 2)
    scores[0, :255] = torch.from_numpy(THRESHOLDS)  # each threshold is reached exactly
    truth = torch.rand(count, 400, generator=generator) < torch.rand(count, 1, generator=generator)
    truth[:, 0] = True
    return scores, truth


def test_the_histogram_gives_what_255_comparisons_give() -> None:
    scores, truth = maps(8)
    curve = f_curve(scores, truth).numpy()
    for k, threshold in enumerate(THRESHOLDS):
        claimed = scores.numpy() >= threshold
        hit = (claimed & truth.numpy()).sum(1)
        precision, recall = hit / (claimed.sum(1) + 1e-20), hit / truth.numpy().sum(1)
        with np.errstate(invalid="ignore"):
            expected = np.nan_to_num(1.3 * precision * recall / (0.3 * precision + recall))
        np.testing.assert_allclose(curve[:, k], expected, atol=1e-12)


def f_score(curves: np.ndarray) -> float | None:
    found: float | None = segmentation_figures(np.zeros(len(curves)), curves, np.arange(len(curves)))["f_score"]
    return found


def test_intervals_are_by_video() -> None:
    scores, truth = maps(8)
    curves, ious = f_curve(scores, truth).numpy(), mask_iou(scores, truth).numpy()
    figures = segmentation_figures(ious, curves, np.arange(8) // 2)
    for name in ("miou", "f_score"):
        low, high = figures[f"{name}_interval"]
        assert low < figures[name] < high
    alone = segmentation_figures(ious, curves, np.zeros(8, int))  # one video
    assert alone["f_score_interval"] == [pytest.approx(alone["f_score"])] * 2


def test_the_maximum_is_taken_once_and_empty_truths_are_left_out() -> None:
    scores, truth = maps(8)
    curves = f_curve(scores, truth).numpy()
    assert f_score(curves) == curves.mean(0).max() < curves.max(1).mean()
    truth[3] = False
    without = f_curve(scores, truth).numpy()
    assert np.isnan(without[3]).all()
    assert f_score(without) == np.delete(curves, 3, 0).mean(0).max()
    assert f_score(without[3:4]) is None


def test_an_empty_truth_scores_the_pixels_left_dark() -> None:
    scores = torch.tensor([[0.9, 0.6, 0.5, 0.1], [0.9, 0.1, 0.1, 0.1]])
    truth = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    assert mask_iou(scores, truth).tolist() == [1 / 3, 0.75]
