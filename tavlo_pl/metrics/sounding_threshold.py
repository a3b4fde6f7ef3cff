"""The score above which a pixel counts as sounding, from validation maps."""

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.pooled import universal_threshold
from tavlo_pl.metrics.functional.thresholds import universal_quantile
from tavlo_pl.metrics.per_sample import PerSampleMetric
from tavlo_pl.metrics.protocols import Interpolation, Size


class SoundingThreshold(PerSampleMetric):
    """A quantile of the scores of frames with a visible source.

    It is stored in the checkpoint, and ``tavlo predict`` uses it to decide where no source is visible.

    Args:
        rule: ``universal:<quantile>``.
        size: (height, width) at which the quantile is taken, in pixels.
        interpolation: from cells to pixels.
    """

    def __init__(
        self, rule: str = "universal:0.9", size: Size = (224, 224), interpolation: Interpolation = "bilinear"
    ) -> None:
        super().__init__()
        self.quantile = universal_quantile(rule)
        self.size = size
        self.interpolation = interpolation
        self.add_columns("index", "preds")

    def update(self, preds: Tensor, index: Tensor) -> None:
        """Adds N maps of frames with a visible source.

        Args:
            preds: (N, h, w) raw scores; h and w the same in all updates.
            index: (N,) int64, unique over the data set.
        """
        self.append(index=index, preds=preds.float())

    def compute(self) -> float | None:
        """The threshold on the raw scale over all processes; None if there was no map."""
        maps = torch.from_numpy(self.gather("index", "preds")["preds"])
        return universal_threshold(maps, self.quantile, self.size, self.interpolation) if len(maps) else None
