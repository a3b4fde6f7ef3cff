"""What the metrics that claim pixels by a rule share: cIoU of maps, and the one threshold of a whole run."""

from torch import Tensor

from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.thresholds import parse_rule, universal_quantile, universal_threshold
from tavlo_pl.metrics.functional.upsample import Interpolation
from tavlo_pl.metrics.per_sample import PerSampleMetric


class ThresholdedMetric(PerSampleMetric):
    """Base of metrics over cIoU.

    Args:
        rule: ``top_half``, ``top_tenth``, ``adaptive`` or ``fixed:<score>``.
        interpolation: from cells to the size of the masks.
    """

    def __init__(self, rule: str, interpolation: Interpolation = "bilinear") -> None:
        super().__init__()
        self.rule = parse_rule(rule)
        self.interpolation = interpolation

    def ciou_of(self, maps: Tensor, truth: Tensor) -> Tensor:
        """(N, h, w) raw scores and (N, S, S) masks to (N,) cIoU, 0..1."""
        return ciou_of_maps(maps, truth, [self.rule], self.interpolation)[:, 0]


class GlobalThresholdMetric(PerSampleMetric):
    """Base of metrics at one threshold for the whole run: a quantile of the scores of frames with a visible source.

    Args:
        rule: ``universal:<quantile>``.
        size: evaluation pixels a side.
        interpolation: from cells to pixels.
    """

    def __init__(self, rule: str = "universal:0.9", size: int = 224, interpolation: Interpolation = "bilinear") -> None:
        super().__init__()
        self.quantile = universal_quantile(rule)
        self.size = size
        self.interpolation = interpolation

    def threshold_of(self, maps: Tensor) -> float:
        """The threshold, on the raw scale, of (N, h, w) maps with a visible source.

        Raises:
            ConfigError: there is none.
        """
        return universal_threshold(maps, self.quantile, self.size, self.interpolation)
