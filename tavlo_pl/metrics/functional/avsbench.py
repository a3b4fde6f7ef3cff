"""Segmentation metrics of AVSBench (Zhou et al., 2022): mIoU and the F-score with beta² = 0.3.

The probability of a pixel is sigmoid(S) of its raw score. Deviation from the reference code: it takes the maximum of
the F curve of each batch and averages over batches, which gave 0.338 to 0.298 for the same maps with batches of 1 and
of all samples. Here the curve is averaged over the set and its maximum is taken once.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional._numpy_kernels import count, count_both
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval, interval_of, sum_by_video, video_draws

BETA_SQUARED = 0.3
THRESHOLDS = np.linspace(0, 1, 255, dtype=np.float32)


def probability(scores: Tensor) -> Tensor:
    """(N, P) float32 sigmoid of raw scores."""
    return scores.float().sigmoid()


def mask_iou(probability: Tensor, truth: Tensor) -> Tensor:
    """(N,) float64: IoU of the pixels above 0.5 with the mask; for an empty mask, the share of the other pixels.

    Args:
        probability: (N, P) float32.
        truth: (N, P) bool.
    """
    claimed = probability > 0.5
    both, area = count_both(claimed, truth), count(truth)
    either = (count(claimed) + area - both).clamp(min=1)
    return torch.where(area > 0, both.double() / either, 1 - count(claimed).double() / truth.shape[1])


def f_curve(probability: Tensor, truth: Tensor) -> Tensor:
    """(N, 255) float64 F-score of each sample at the thresholds k/254; NaN for an empty truth, which is left out.

    Computed from one histogram per map instead of 255 comparisons.

    Args:
        probability: (N, P) float32 in 0..1.
        truth: (N, P) bool.
    """
    curves = np.full((len(truth), len(THRESHOLDS)), np.nan)
    for out, scores, mask in zip(curves, probability.cpu().numpy(), truth.cpu().numpy(), strict=True):
        if mask.any():
            place = (scores * np.float32(len(THRESHOLDS) - 1)).astype(np.int64)
            place -= scores < THRESHOLDS[place]  # the product is rounded
            place += scores >= np.append(THRESHOLDS, np.float32(np.inf))[place + 1]
            hit = np.bincount(place[mask], minlength=len(THRESHOLDS))[::-1].cumsum()[::-1]
            claimed = np.bincount(place, minlength=len(THRESHOLDS))[::-1].cumsum()[::-1]
            precision, recall = hit / np.maximum(claimed, 1), hit / np.count_nonzero(mask)
            both = BETA_SQUARED * precision + recall
            out[:] = np.where(both > 0, (1 + BETA_SQUARED) * precision * recall / np.where(both > 0, both, 1.0), 0.0)
    return torch.from_numpy(curves)


def segmentation_figures(ious: np.ndarray, curves: np.ndarray, clip: np.ndarray) -> dict[str, Any]:
    """mIoU, and the maximum of the mean F curve, with their 95 % intervals by video.

    Args:
        ious: (N,) `mask_iou`, N > 0.
        curves: (N, 255) `f_curve`.
        clip: (N,) int64, the video of each sample.

    Returns:
        ``miou``, ``f_score`` and ``<name>_interval``; the F-score and its interval are None where every truth is empty.
    """
    miou_interval = bootstrap_interval(ious[:, None], clip)[:, 0].tolist()
    figures: dict[str, Any] = {"miou": float(ious.mean()), "miou_interval": miou_interval}
    known = ~np.isnan(curves).any(1)
    if not known.any():
        return figures | {"f_score": None, "f_score_interval": None}
    video, times = video_draws(clip[known])
    sums, sizes = sum_by_video(curves[known], video), np.bincount(video).astype(np.float64)
    best = (np.einsum("rv,vk->rk", times, sums) / np.einsum("rv,v->r", times, sizes)[:, None]).max(1)
    return figures | {"f_score": float(curves[known].mean(0).max()), "f_score_interval": interval_of(best).tolist()}
