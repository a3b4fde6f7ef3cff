"""The localisation metrics as torchmetrics classes, for use outside the suite. Exact under DDP."""

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.ciou import ciou_at_50, ciou_auc, ciou_mean
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.upsample import Interpolation
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric, ThresholdedMetric


class CIoU(ThresholdedMetric):
    """cIoU of maps against masks: the share of samples at 0.5 or more, the mean, and the area under the
    curve.

    Example:
        >>> import torch
        >>> metric = CIoU(rule="top_half")
        >>> truth = torch.zeros(1, 224, 224, dtype=torch.bool)
        >>> truth[:, :112] = True
        >>> metric.update(torch.tensor([[[1.0], [-1.0]]]), truth, index=torch.tensor([0]))
        >>> metric.compute()["ciou_mean"]
        1.0
    """

    def __init__(self, rule: str = "top_tenth", interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, interpolation)
        self.add_columns("index", "ciou")

    def update(self, maps: Tensor, truth: Tensor, index: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores.
            truth: (N, S, S) bool, pixels of the sounding source.
            index: (N,) int64, unique over the dataset.
        """
        self.append(index=index, ciou=self.ciou_of(maps, truth))

    def compute(self) -> dict[str, float]:
        """``ciou_at_50``, ``ciou_mean`` and ``ciou_auc``, 0..1, over all processes."""
        values = self.gather("index", "ciou")["ciou"]
        return {
            "ciou_at_50": ciou_at_50(values),
            "ciou_mean": ciou_mean(values),
            "ciou_auc": ciou_auc(values),
        }


class SoundingThreshold(GlobalThresholdMetric):
    """The score from which on a pixel is said to sound: a quantile of the scores of frames with a visible source.

    Found on validation maps and kept in the checkpoint, it tells ``tavlo predict`` where no source is visible.
    """

    def __init__(self, rule: str = "universal:0.9", size: int = 224, interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, size, interpolation)
        self.add_columns("index", "maps")

    def update(self, maps: Tensor, index: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores; h and w the same in all updates.
            index: (N,) int64, unique over the dataset.
        """
        self.append(index=index, maps=maps.float())

    def compute(self) -> float | None:
        """The threshold on the raw scale; None where no map was seen."""
        maps = torch.from_numpy(self.gather("index", "maps")["maps"])
        return self.threshold_of(maps) if len(maps) else None


class TrueNegativeRate(GlobalThresholdMetric):
    """Share of pixels below the run's threshold in frames whose source is off-screen.

    The threshold is a quantile of the scores of all frames with a visible source, so both kinds are given.
    """

    def __init__(self, rule: str = "universal:0.9", size: int = 224, interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, size, interpolation)
        self.add_columns("index", "maps", "on_screen")

    def update(self, maps: Tensor, on_screen: Tensor, index: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores; h and w the same in all updates.
            on_screen: (N,) bool, whether the sounding source is visible.
            index: (N,) int64, unique over the dataset.
        """
        self.append(index=index, maps=maps.float(), on_screen=on_screen)

    def compute(self) -> dict[str, float]:
        """``tn_rate``, 0..1, and the ``threshold`` it was taken at.

        Raises:
            ConfigError: no frame with a visible source was seen.
        """
        table = self.gather("index", "maps", "on_screen")
        maps = torch.from_numpy(table["maps"])
        on_screen = torch.from_numpy(table["on_screen"])
        threshold = self.threshold_of(maps[on_screen])
        shares = true_negative_share(maps[~on_screen], threshold, self.size, self.interpolation)
        return {"tn_rate": float(shares.numpy().mean()), "threshold": threshold}
