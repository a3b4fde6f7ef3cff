"""Detection: whether the model distinguishes frames with a visible source from frames without one (SLAVC)."""

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import Measured, Summary
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.slavc import confidence, detection_figures
from tavlo_pl.metrics.recorder import Column, EvaluatedMaps
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import CIOU, ThresholdedMetric


def _confidence(maps: EvaluatedMaps) -> Tensor:
    return confidence(maps.cells)


CONFIDENCE = Column("confidence", _confidence, on_screen=False, baselines=False)
"""(n,) SLAVC's confidence that a source is visible."""


class Detection(ThresholdedMetric):
    """SLAVC's average precision, highest F1 and localization accuracy."""

    name: ClassVar[str] = "detection"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("ap", label="AP"),
        Figure("max_f1", label="max-F1"),
        Figure("loc_acc", label="LocAcc"),
    )
    columns: ClassVar[tuple[Column, ...]] = (CIOU, CONFIDENCE)
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "all"

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``ap``, ``max_f1`` and ``loc_acc``, 0..1, for each rule; empty unless both kinds of samples are there."""
        visible = samples.on_screen
        if visible.all() or not visible.any():
            return {}
        ciou = samples.measured[CIOU.name]
        return {
            row: {
                rule.name: detection_figures(ciou[row][:, k], scores, visible, samples.clip)
                for k, rule in enumerate(samples.rules)
            }
            for row, scores in samples.measured[CONFIDENCE.name].items()
        }

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """The confidence of each map."""
        return {CONFIDENCE.name: samples.measured.get(CONFIDENCE.name, {})}
