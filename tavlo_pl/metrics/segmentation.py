"""Segmentation: AVSBench's mIoU and F-score."""

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import EVERY_RULE, LocalizationMetric, Measured, Summary
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.avsbench import f_curve, mask_iou, probability, segmentation_figures
from tavlo_pl.metrics.recorder import Column, EvaluatedMaps
from tavlo_pl.metrics.samples import Samples


def _mask_iou(maps: EvaluatedMaps) -> Tensor:
    return mask_iou(probability(maps.preds), maps.target > 0)


def _f_curve(maps: EvaluatedMaps) -> Tensor:
    return f_curve(probability(maps.preds), maps.target > 0)


MASK_IOU = Column("mask_iou", _mask_iou, on_screen=False, baselines=False)
F_CURVE = Column("f_curve", _f_curve, on_screen=False, baselines=False)


class Segmentation(LocalizationMetric):
    """AVSBench's mean IoU, and its F-score with beta² = 0.3 of the set's mean curve."""

    name: ClassVar[str] = "segmentation"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (Figure("miou", label="mIoU"), Figure("f_score", label="F-score"))
    columns: ClassVar[tuple[Column, ...]] = (MASK_IOU, F_CURVE)
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "all"
    by_default: ClassVar[bool] = False

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``miou`` and ``f_score``, 0..1; no ``f_score`` where every mask is empty."""
        summary: Summary = {}
        for row, ious in samples.measured.get(MASK_IOU.name, {}).items():
            found = segmentation_figures(ious, samples.measured[F_CURVE.name][row], samples.clip)
            summary[row] = {EVERY_RULE: {name: value for name, value in found.items() if value is not None}}
        return summary

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """The IoU of each mask."""
        return {MASK_IOU.name: samples.measured.get(MASK_IOU.name, {})}
