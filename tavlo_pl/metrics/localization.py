"""cIoU: overlap of the predicted pixels with the source."""

from typing import ClassVar

import numpy as np
import torch
from typing_extensions import override

from tavlo_pl.metrics.base import Measured, Summary, Values
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import auc_of_each, ceiling, ciou_at_50, ciou_auc, ciou_mean
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import CIOU, ThresholdedMetric


class CIoU(ThresholdedMetric):
    """The cIoU of maps and masks: the mean, the share of samples at 0.5 or more, and the area under the success curve.

    Not to be confused with torchmetrics' ``CompleteIntersectionOverUnion``, which compares boxes.

    Example:
        >>> import torch
        >>> metric = CIoU(rule="top_half")
        >>> target = torch.zeros(1, 224, 224, dtype=torch.bool)
        >>> target[:, :112] = True
        >>> metric.update(torch.tensor([[[1.0], [-1.0]]]), target, index=torch.tensor([0]))
        >>> metric.compute()["ciou_mean"]
        1.0
    """

    name: ClassVar[str] = "ciou"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("ciou_mean", label="mean cIoU", column="{rule}"),
        Figure("ciou_at_50", label="cIoU >= 0.5", column="{rule}", at_least=0.5),
        Figure("ciou_auc", label="AUC"),
    )

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``ciou_at_50``, ``ciou_mean`` and ``ciou_auc``, 0..1, for each rule."""
        return summarize_ciou(samples, samples.measured.get(CIOU.name, {}), samples.clip)

    @classmethod
    @override
    def ceiling(cls, samples: Samples) -> dict[str, Values]:
        """The highest values that any map can reach under each rule."""
        area, weight = (torch.from_numpy(samples.info[name]) for name in ("area", "weight"))
        return {
            rule.name: _figures(ceiling(area, samples.pixels, rule, weight).numpy())
            for rule in samples.rules
            if len(samples)
        }

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """The cIoU under each rule; the column is named after the rule."""
        rows = samples.measured.get(CIOU.name, {})
        return {rule.name: {row: values[:, k] for row, values in rows.items()} for k, rule in enumerate(samples.rules)}


def summarize_ciou(samples: Samples, rows: dict[str, np.ndarray], clip: np.ndarray) -> Summary:
    """Row -> rule -> cIoU figures and their intervals.

    Args:
        samples: of which the rules are taken.
        rows: row -> (N, K) cIoU.
        clip: (N,) the video of each value.
    """
    if not rows or not len(clip):
        return {}
    values = np.stack(list(rows.values()), 1)
    each = np.stack([(values >= 0.5).astype(np.float64), values, auc_of_each(values)])  # (figures, N, R, K)
    names = ("ciou_at_50", "ciou_mean", "ciou_auc")
    flat = np.moveaxis(each, 1, 0).reshape(len(clip), -1)
    intervals = bootstrap_interval(flat, clip).reshape(2, len(each), *values.shape[1:])
    return {
        row: {
            rule.name: _figures(values[:, r, k])
            | {f"{name}_interval": intervals[:, f, r, k].tolist() for f, name in enumerate(names)}
            for k, rule in enumerate(samples.rules)
        }
        for r, row in enumerate(rows)
    }


def _figures(values: np.ndarray) -> Values:
    return {"ciou_at_50": ciou_at_50(values), "ciou_mean": ciou_mean(values), "ciou_auc": ciou_auc(values)}
