"""pIA as a torchmetrics class. Exact under DDP."""

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.offscreen import pia, pia_auc
from tavlo_pl.metrics.functional.upsample import Interpolation
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class PIA(GlobalThresholdMetric):
    """Share of pixels that light up for silence, noise or a swapped sound, at the threshold of the right sound's maps.

    Near 0 is right. All frames have a visible source.

    Example:
        >>> metric = PIA(size=32)
        >>> right, silent = torch.rand(4, 7, 7), torch.zeros(4, 7, 7)
        >>> metric.update(right, silent, index=torch.arange(4))
        >>> metric.compute()["pia"], metric.compute()["pia_auc"]
        (0.0, 1.0)
    """

    def __init__(self, rule: str = "universal:0.9", size: int = 224, interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, size, interpolation)
        self.add_columns("index", "right", "wrong")

    def update(self, right: Tensor, wrong: Tensor, index: Tensor) -> None:
        """
        Args:
            right: (N, h, w) raw scores for the frames' own sounds.
            wrong: (N, h, w) raw scores of the same frames for the wrong sound.
            index: (N,) int64, unique over the dataset.
        """
        self.append(index=index, right=right.float(), wrong=wrong.float())

    def compute(self) -> dict[str, float]:
        """``pia``, ``pia_auc``, 0..1, and the ``threshold``, over all processes.

        Raises:
            ConfigError: no frame was seen.
        """
        table = self.gather("index", "right", "wrong")
        right, wrong = (torch.from_numpy(table[name]) for name in ("right", "wrong"))
        threshold = self.threshold_of(right)
        values = pia(wrong, threshold, self.size, self.interpolation).numpy()
        return {"pia": float(values.mean()), "pia_auc": pia_auc(values), "threshold": threshold}
