"""Bases of the metrics with a threshold: cIoU under a rule, and one threshold for the whole run."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import LocalizationMetric, Measured, Values
from tavlo_pl.metrics.figure import MODEL_ROW
from tavlo_pl.metrics.functional.baselines import SHARED
from tavlo_pl.metrics.functional.ciou import ciou_of_maps, ciou_of_pixels
from tavlo_pl.metrics.functional.thresholds import fixed_rule
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.metrics.protocols import Interpolation, Size
from tavlo_pl.metrics.recorder import Column, EvaluatedMaps, KeptMaps
from tavlo_pl.metrics.samples import Samples

CHUNK = 64
"""Number of masks that are unpacked at a time."""


def _measure_ciou(maps: EvaluatedMaps) -> Tensor:
    """(n, K) float64 cIoU under each rule; NaN under universal rules, whose thresholds are not known yet."""
    values = torch.full((len(maps.target), len(maps.rules)), torch.nan, dtype=torch.float64, device=maps.target.device)
    ranked = [k for k, rule in enumerate(maps.rules) if rule.kind != "universal"]
    values[:, ranked] = ciou_of_pixels(maps.preds, maps.target, [maps.rules[k] for k in ranked])
    return values


CIOU = Column("ciou", _measure_ciou)
"""(n, K) cIoU of each sample under each of the K rules."""


class ThresholdedMetric(LocalizationMetric):
    """Base of metrics over cIoU, which have figures for each threshold rule.

    Args:
        rule: ``top_half``, ``top_tenth``, ``adaptive``, ``fixed:<score>`` or ``universal:<quantile>``.
        size: (height, width) of the evaluation in pixels.
        interpolation: from cells to pixels.
    """

    columns: ClassVar[tuple[Column, ...]] = (CIOU,)

    @classmethod
    @override
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:
        """The cIoU under the universal rules, once for all metrics over cIoU."""
        on_screen = samples.on_screen
        universal = [k for k, rule in enumerate(samples.rules) if rule.kind == "universal"]
        known = samples.measured.get(CIOU.name, {})
        if not known or not np.isnan(known[MODEL_ROW][on_screen][:, universal]).any():
            return {}
        filled = {row: values.copy() for row, values in known.items()}
        for row, values in filled.items():
            for k in universal:
                threshold = kept.threshold(row, samples.rules[k].value)
                values[on_screen, k] = _ciou_at(threshold, row, on_screen, kept)
        return {CIOU.name: filled}


def _ciou_at(threshold: float, row: str, chosen: np.ndarray, kept: KeptMaps) -> np.ndarray:
    """(n,) cIoU of the chosen samples of a row at one threshold."""
    maps, places, rules = kept.cells(row, chosen), np.flatnonzero(chosen), [fixed_rule(threshold)]
    shared = upsample(maps, kept.size, kept.interpolation).flatten(1) if row in SHARED else None
    values = []
    for start in range(0, len(places), CHUNK):
        target = torch.from_numpy(kept.target(places[start : start + CHUNK]))
        if shared is not None:
            values.append(ciou_of_pixels(shared, target, rules))
        else:
            some = maps[start : start + CHUNK]
            values.append(ciou_of_maps(some, target.unflatten(1, kept.size), rules, kept.interpolation))
    return torch.cat(values)[:, 0].numpy()


class GlobalThresholdMetric(LocalizationMetric):
    """Base of metrics at one threshold for the whole run: a quantile of the scores of all samples that are pooled.

    Alone, the class pools the samples with a visible source; in the suite, those of the protocol.

    Args:
        rule: ``universal:<quantile>``.
        size: (height, width) of the evaluation in pixels.
        interpolation: from cells to pixels.
    """

    universal: ClassVar[bool] = True

    def __init__(
        self, rule: str = "universal:0.9", size: Size = (224, 224), interpolation: Interpolation = "bilinear"
    ) -> None:
        super().__init__(rule, size, interpolation)

    @override
    def compute(self) -> Values:
        """The figures, their 95 % intervals by video, and the ``threshold``, over all processes.

        Raises:
            ConfigError: no sample with a visible source was seen.
        """
        samples, kept = self.gather_row((MODEL_ROW,))
        summary = self.summarize(samples)
        values = next((values for by_rule in summary.values() for values in by_rule.values()), {})
        return values if kept is None else values | {"threshold": kept.threshold(MODEL_ROW)}
