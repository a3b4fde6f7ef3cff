import numpy as np
import torch

from tavlo_pl.metrics.functional.avsbench import THRESHOLDS, f_curve, f_score, mask_iou, probability


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
