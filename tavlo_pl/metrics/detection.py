"""SLAVC's detection figures and the figures of scenes as torchmetrics classes. Exact under DDP."""

from typing import Any

from torch import Tensor

from tavlo_pl.metrics.functional.ciou import ciou_at_50, ciou_auc, scene_minimum
from tavlo_pl.metrics.functional.slavc import confidence, detection_figures
from tavlo_pl.metrics.functional.upsample import Interpolation
from tavlo_pl.metrics.thresholded import ThresholdedMetric


class Detection(ThresholdedMetric):
    """SLAVC's average precision, highest F1 and LocAcc: whether a model knows when nothing in the picture sounds."""

    def __init__(self, rule: str = "top_half", interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, interpolation)
        self.add_columns("index", "clip", "ciou", "confidence", "visible")

    def update(self, maps: Tensor, truth: Tensor, index: Tensor, clip: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) cosines in -1..1.
            truth: (N, S, S) bool, empty where no source is visible.
            index: (N,) int64, unique over the dataset.
            clip: (N,) int64, the video of each sample.
        """
        values = self.ciou_of(maps, truth)
        visible = truth.flatten(1).any(1)
        self.append(index=index, clip=clip, ciou=values, confidence=confidence(maps), visible=visible)

    def compute(self) -> dict[str, Any]:
        """``ap``, ``max_f1``, ``loc_acc``, 0..1, and their intervals by video, over all processes."""
        table = self.gather("index", "clip", "ciou", "confidence", "visible")
        return detection_figures(table["ciou"], table["confidence"], table["visible"], table["clip"])


class SceneCIoU(ThresholdedMetric):
    """IIoU and IAUC: a scene, one picture with several sources, counts by its worst source."""

    def __init__(self, rule: str = "top_half", interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, interpolation)
        self.add_columns("index", "scene", "ciou")

    def update(self, maps: Tensor, truth: Tensor, index: Tensor, scene: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores, each for the sound of one source.
            truth: (N, S, S) bool, pixels of that source.
            index: (N,) int64, unique over the dataset.
            scene: (N,) int64, the picture that each sample is of.
        """
        self.append(index=index, scene=scene, ciou=self.ciou_of(maps, truth))

    def compute(self) -> dict[str, float]:
        """``iiou`` and ``iauc``, 0..1, over all processes."""
        table = self.gather("index", "scene", "ciou")
        values = scene_minimum(table["ciou"], table["scene"])
        return {"iiou": ciou_at_50(values), "iauc": ciou_auc(values)}
