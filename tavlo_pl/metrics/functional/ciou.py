"""cIoU of heatmaps, and the statistics that papers report.

With P the predicted pixels and G the ground truth, cIoU = ΣP·G / (ΣG + ΣP·1[G = 0]), as in EZ-VSL, LVS, FNAC, SSL-TIE,
SLAVC and SSLalign. For a binary G it is intersection over union. G may also be a weight of 0, 0.5 or 1, the agreement
of annotators (Flickr-SoundNet); then it is not, because a predicted pixel that only one annotator marked does not lower
it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional._numpy_kernels import at_least, count, count_both
from tavlo_pl.metrics.functional.thresholds import Rule, claimed_pixels, thresholds
from tavlo_pl.metrics.functional.upsample import for_each_chunk
from tavlo_pl.metrics.protocols import Interpolation

AUC_STEPS = 20


def ciou(claimed: Tensor, truth: Tensor) -> Tensor:
    """The cIoU of each sample.

    Args:
        claimed: (N, P) bool, predicted pixels.
        truth: (N, P) bool, pixels of the sounding source; or float32 weights 0..1.

    Returns:
        (N,) float64 in 0..1. An empty ground truth gives 0; with an empty prediction too, the peers return NaN.
    """
    if truth.dtype == torch.bool:
        both = count_both(claimed, truth)
        either = count(claimed) + count(truth) - both
        return both.double() / either.clamp(min=1)
    both = (claimed * truth).double().sum(1)
    either = truth_weight(truth) + count(claimed) - count_both(claimed, truth > 0)
    return both / torch.where(either > 0, either, 1.0)


def truth_area(truth: Tensor) -> Tensor:
    """(N,) int64: pixels of each ground truth (N, P) that are not 0."""
    return count(truth if truth.dtype == torch.bool else truth > 0)


def truth_weight(truth: Tensor) -> Tensor:
    """(N,) float64: sum of each ground truth (N, P), which for bool is its area."""
    return (count(truth) if truth.dtype == torch.bool else truth.double().sum(1)).double()


def ciou_of_pixels(scores: Tensor, truth: Tensor, rules: Sequence[Rule]) -> Tensor:
    """The cIoU of maps that have the ground truth's size.

    Args:
        scores: (N, P) raw scores, or (1, P) for one map that all samples share.
        truth: (N, P) bool or weights.
        rules: R rules, none ``universal``.

    Returns:
        (N, R) float64.
    """
    values = torch.zeros(len(truth), len(rules), dtype=torch.float64, device=truth.device)
    for k, threshold in enumerate(thresholds(scores, rules, truth_area(truth)).unbind(1)):
        values[:, k] = ciou(at_least(scores, threshold[:, None]), truth)
    return values


def ciou_of_maps(
    maps: Tensor, truth: Tensor, rules: Sequence[Rule], interpolation: Interpolation = "bilinear"
) -> Tensor:
    """The cIoU of maps of cells, upsampled to the ground truth a few at a time.

    Args:
        maps: (N, h, w) raw scores, finite.
        truth: (N, H, W) bool or weights.
        rules: R rules, none ``universal``.
        interpolation: see `upsample`.

    Returns:
        (N, R) float64 in 0..1.
    """
    values = torch.zeros(len(maps), len(rules), dtype=torch.float64, device=maps.device)

    def score(chunk: slice, pixels: Tensor) -> None:
        values[chunk] = ciou_of_pixels(pixels, truth[chunk].flatten(1), rules)

    for_each_chunk(score, maps, (truth.shape[1], truth.shape[2]), interpolation)
    return values


def ceiling(area: Tensor, pixels: int, rule: Rule, weight: Tensor | None = None) -> Tensor:
    """The highest cIoU that any map can reach under a rule, whose prediction has a given number of pixels.

    Args:
        area: (N,) int64, ground-truth pixels that are not 0.
        pixels: pixels of a map.
        rule: the threshold rule; ``fixed`` and ``universal`` can predict any number of pixels and reach 1.
        weight: (N,) sum of a ground truth of weights 0.5 and 1; without it all weights are 1.

    Returns:
        (N,) float64 in 0..1; 0 where the ground truth is empty.
    """
    total = area.double() if weight is None else weight
    full = 2 * total - area  # pixels of weight 1; the others have 0.5
    claim = (area if rule.kind in ("fixed", "universal") else claimed_pixels(rule, area, pixels)).double()
    both = torch.minimum(claim, full) + (claim - full).clamp(min=0).minimum(area - full) / 2
    either = total + (claim - area).clamp(min=0)
    return both / torch.where(either > 0, either, 1.0)


def ciou_at_50(values: np.ndarray) -> float:
    """Share of samples with cIoU >= 0.5, "CIoU" in papers on VGG-SS; `values` (N,) float64."""
    return float(np.mean(values >= 0.5))


def ciou_mean(values: np.ndarray) -> float:
    """Mean cIoU; `values` (N,) float64."""
    return float(np.mean(values))


def auc_of_each(values: np.ndarray) -> np.ndarray:
    """The area under each sample's own success curve, whose mean is `ciou_auc`; `values` float64 of any shape."""
    return _half_steps(values) / (2 * AUC_STEPS)


def ciou_auc(values: np.ndarray) -> float:
    """Area under the share of samples with cIoU >= t, by trapezoids over t = 0, 0.05, ..., 1.

    It equals the mean to a tenth of a point. The thresholds are the float products 0.05·k as in the peers' code, of
    which 0.15, 0.3, 0.35, 0.6 and 0.7 are rounded up.

    Args:
        values: (N,) float64.
    """
    return float(_half_steps(values).sum() / (2 * AUC_STEPS * len(values)))


def _half_steps(values: np.ndarray) -> np.ndarray:
    """int64: twice the number of thresholds reached, the first and the last one counting half."""
    reached = (values >= 0).astype(np.int64) + (values >= 1)
    for step in range(1, AUC_STEPS):
        reached += 2 * (values >= 0.05 * step)
    return reached


def scene_minimum(values: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """The lowest cIoU in each scene, a group of samples of one frame, each with its own audio.

    Its share at 0.5 is IIoU and its area under the curve IAUC (Senocak et al., Interactive Synthetic Sound Source).

    Args:
        values: (N, ...) float64.
        scene: (N,) name or number of each sample's scene.

    Returns:
        (scenes, ...) float64, in ascending order of scene.
    """
    scenes, group = np.unique(scene, return_inverse=True)
    worst = np.full((len(scenes), *values.shape[1:]), np.inf)
    np.minimum.at(worst, group, values)
    return worst
