"""AVSBench's mIoU and F-score as a torchmetrics class. Exact under DDP, and whatever the batches."""

from typing import Any

from torch import Tensor

from tavlo_pl.metrics.functional.avsbench import f_curve, mask_iou, probability, segmentation_figures
from tavlo_pl.metrics.functional.upsample import Interpolation, upsample
from tavlo_pl.metrics.per_sample import PerSampleMetric


class Segmentation(PerSampleMetric):
    """mIoU at probability 0.5 and the highest F-score of the set's mean curve, of probabilities sigmoid(S)."""

    def __init__(self, interpolation: Interpolation = "bilinear") -> None:
        """
        Args:
            interpolation: from cells to the size of the masks.
        """
        super().__init__()
        self.interpolation = interpolation
        self.add_columns("index", "clip", "iou", "curve")

    def update(self, maps: Tensor, truth: Tensor, index: Tensor, clip: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores.
            truth: (N, S, S) bool.
            index: (N,) int64, unique over the dataset.
            clip: (N,) int64, the video of each sample.
        """
        pixels = probability(upsample(maps, truth.shape[-1], self.interpolation).flatten(1))
        mask = truth.flatten(1)
        self.append(index=index, clip=clip, iou=mask_iou(pixels, mask), curve=f_curve(pixels, mask))

    def compute(self) -> dict[str, Any]:
        """``miou``, ``f_score``, 0..1, and their intervals by video, over all processes."""
        table = self.gather("index", "clip", "iou", "curve")
        return segmentation_figures(table["iou"], table["curve"], table["clip"])
