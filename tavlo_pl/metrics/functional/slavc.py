"""Detection metrics of SLAVC (Mo and Morgado, 2022): whether a frame has a visible source.

A sample is detected if its confidence reaches a threshold t. With a visible source, it is a true positive if detected
with cIoU >= 0.5, a false positive if detected with a lower cIoU, and a false negative if not detected; recall can
therefore reach 1 with wrong locations. Without a visible source, a detection is a false positive. An empty denominator
makes precision or recall 1.
"""

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval, interval_of, sum_by_video, video_draws

AP_STEPS = 200
F1_STEPS = 10


def confidence(maps: Tensor) -> Tensor:
    """(N,) float64: mean of the top quarter of the cells of (S + 1) / 2, for maps (N, h, w) of cosines in -1..1."""
    cells = maps.flatten(1).cpu().numpy()
    quarter = max(1, cells.shape[1] // 4)
    top = np.partition(cells, -quarter, axis=1)[:, -quarter:]
    return torch.from_numpy((np.sort(top, axis=1).mean(1, dtype=np.float64) + 1) / 2)


def detection_figures(
    ciou: np.ndarray, confidence: np.ndarray, visible: np.ndarray, clip: np.ndarray
) -> dict[str, object]:
    """Average precision, highest F1 and localisation accuracy, with 95 % intervals by video.

    As in SLAVC's code: AP takes every (N // 200)-th confidence as a threshold, highest first, without the highest, and
    so without the area below the recall of the first; F1 is taken at every (N // 10)-th confidence. The resamples use
    the thresholds of the whole set.

    Args:
        ciou: (N,) float64; ignored for samples without a visible source.
        confidence: (N,) float64, of any scale.
        visible: (N,) bool, whether the sample has a visible source.
        clip: (N,) int64, the video of each sample.

    Returns:
        ``ap``, ``max_f1``, ``loc_acc`` (share of samples with a visible source that have cIoU >= 0.5), and
        ``<name>_interval``; ``loc_acc`` and its interval are None where no source is visible.
    """
    ordered = np.sort(confidence)
    many = ordered[:: max(1, len(ordered) // AP_STEPS)][::-1][1:]
    few = ordered[:: max(1, len(ordered) // F1_STEPS)]
    good = visible & (ciou >= 0.5)
    video, times = video_draws(clip)

    def figures(thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1 + resamples, thresholds) precision and recall, the whole set first; counts are sums of 0 and 1: exact."""
        detected = confidence[:, None] >= thresholds
        hits = sum_by_video(detected & good[:, None], video)
        misses = sum_by_video(~detected & visible[:, None], video)
        found = sum_by_video(detected, video)
        weights = np.concatenate([np.ones((1, times.shape[1])), times])
        hits, misses, found = weights @ hits, weights @ misses, weights @ found
        return _ratio(hits, found), _ratio(hits, hits + misses)

    precision, recall = figures(many)
    best_later = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    ap = (best_later[:, :-1] * np.diff(recall, axis=1)).sum(1)
    precision, recall = figures(few)
    f1 = np.where(precision + recall > 0, 2 * precision * recall / np.maximum(precision + recall, 1e-300), 0.0).max(1)
    result: dict[str, object] = {}
    for name, values in (("ap", ap), ("max_f1", f1)):
        result |= {name: float(values[0]), f"{name}_interval": interval_of(values[1:]).tolist()}
    if not visible.any():
        return result | {"loc_acc": None, "loc_acc_interval": None}
    interval = bootstrap_interval(good[visible, None].astype(np.float64), clip[visible])
    return result | {"loc_acc": float(good.sum() / visible.sum()), "loc_acc_interval": interval[:, 0].tolist()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)
