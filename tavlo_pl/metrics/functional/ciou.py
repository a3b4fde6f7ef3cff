"""cIoU of a map and what papers print of it.

With P the pixels that a map claims and G the ground truth, cIoU = ΣP·G / (ΣG + ΣP·1[G = 0]), the expression
that EZ-VSL, LVS, FNAC, SSL-TIE, SLAVC and SSLalign share. For a binary G it is intersection over union.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional.rows import ascending, count, count_both
from tavlo_pl.metrics.functional.thresholds import Rule, binarise, claimed_pixels
from tavlo_pl.metrics.functional.upsample import Interpolation, upsampled_chunks

AUC_STEPS = 20


def ciou(claimed: Tensor, truth: Tensor) -> Tensor:
    """cIoU of each sample.

    Args:
        claimed: (N, P) bool, pixels that the map claims.
        truth: (N, P) bool, pixels of the sounding source.

    Returns:
        (N,) float64 in 0..1. An empty ground truth gives 0, also to an empty claim, where the peers have NaN.
    """
    both = count_both(claimed, truth)
    either = count(claimed) + count(truth) - both
    return both.double() / either.clamp(min=1)


def ciou_of_pixels(scores: Tensor, truth: Tensor, rules: Sequence[Rule]) -> Tensor:
    """cIoU of maps that have the ground truth's size.

    Args:
        scores: (N, P) raw scores, or (1, P) for one map that all samples share.
        truth: (N, P) bool.
        rules: R rules, none ``universal``.

    Returns:
        (N, R) float64.
    """
    area = count(truth)
    ordered = ascending(scores) if any(rule.kind != "fixed" for rule in rules) else None
    return torch.stack([ciou(binarise(scores, rule, area, ordered), truth) for rule in rules], 1)


def ciou_of_maps(
    maps: Tensor, truth: Tensor, rules: Sequence[Rule], interpolation: Interpolation = "bilinear"
) -> Tensor:
    """cIoU of maps of cells, upsampled to the ground truth a few at a time.

    Args:
        maps: (N, h, w) raw scores, finite.
        truth: (N, S, S) bool.
        rules: R rules, none ``universal``.
        interpolation: see `upsample`.

    Returns:
        (N, R) float64 in 0..1.
    """
    values = torch.zeros(len(maps), len(rules), dtype=torch.float64, device=maps.device)
    for chunk, pixels in upsampled_chunks(maps, truth.shape[-1], interpolation):
        values[chunk] = ciou_of_pixels(pixels, truth[chunk].flatten(1), rules)
    return values


def ceiling(area: Tensor, pixels: int, rule: Rule) -> Tensor:
    """The highest cIoU that a rule lets any map reach: its claim has a given size, and overlaps as far as it
    can.

    Args:
        area: (N,) int64, ground-truth pixels.
        pixels: pixels of a map.
        rule: the threshold rule; ``fixed`` may claim any number of pixels, and reaches 1.

    Returns:
        (N,) float64 in 0..1; 0 where the ground truth is empty.
    """
    claim = area if rule.kind in ("fixed", "universal") else claimed_pixels(rule, area, pixels)
    return torch.minimum(area, claim).double() / torch.maximum(area, claim).clamp(min=1)


def ciou_at_50(values: np.ndarray) -> float:
    """Share of samples with cIoU >= 0.5, which papers print as "CIoU"; `values` (N,) float64."""
    return float(np.mean(values >= 0.5))


def ciou_mean(values: np.ndarray) -> float:
    """Mean cIoU; `values` (N,) float64."""
    return float(np.mean(values))


def ciou_auc(values: np.ndarray) -> float:
    """Area under the share of samples with cIoU >= t, by trapezoids over t = 0, 0.05, ..., 1.

    It is the mean to a tenth of a point, and so no second opinion. The thresholds are the float products
    0.05·k of the peers, of which 0.15, 0.3, 0.35, 0.6 and 0.7 come out one rounding high.

    Args:
        values: (N,) float64.
    """
    reached = np.array([np.count_nonzero(values >= 0.05 * step) for step in range(AUC_STEPS + 1)])
    return float((reached.sum() - (reached[0] + reached[-1]) / 2) / (AUC_STEPS * len(values)))
