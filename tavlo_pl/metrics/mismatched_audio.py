"""pIA: share of the map above the threshold for audio that does not belong to the frame."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import Measured, Summary
from tavlo_pl.metrics.figure import MISMATCHED_ROW, MODEL_ROW, ON_SCREEN, Figure
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.offscreen import pia, pia_auc
from tavlo_pl.metrics.recorder import KeptMaps
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class PIA(GlobalThresholdMetric):
    """Share of pixels at or above the threshold of the matched maps, for silence, noise or mismatched audio.

    All frames have a visible source; lower is better.

    Example:
        >>> metric = PIA(size=(32, 32))
        >>> matched, silent = torch.rand(4, 7, 7), torch.zeros(4, 7, 7)
        >>> metric.update(silent, matched, index=torch.arange(4))
        >>> metric.compute()["pia"], metric.compute()["pia_auc"]
        (0.0, 1.0)
    """

    name: ClassVar[str] = "pia"
    higher_is_better: bool = False
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure(
            "pia",
            label="pia",
            higher_is_better=False,
            note="pia: the share of predicted pixels for silence, noise or the audio of another clip; lower is better.",
        ),
        Figure("pia_auc"),
    )
    groups: ClassVar[tuple[str, ...]] = (ON_SCREEN,)
    mismatched: ClassVar[bool] = True

    @override
    def update(
        self,
        preds: Tensor,
        target: Tensor,
        index: Tensor,
        clip: Tensor | None = None,
        time_s: Tensor | None = None,
        category: Sequence[str] | None = None,
    ) -> None:
        """Adds N frames with a visible source.

        Args:
            preds: (N, h, w) raw scores for silence, noise or mismatched audio.
            target: (N, h, w) raw scores of the same frames for matched audio, which give the threshold.
            index: (N,) int64, unique over the data set.
            clip: (N,) int64, the video of each frame; by default each frame is a video of its own.
            time_s: not used.
            category: not used.
        """
        mask = torch.ones(len(index), 1, 1, dtype=torch.bool)
        visible = torch.ones(len(index), dtype=torch.bool)
        rows = {MODEL_ROW: target, MISMATCHED_ROW: preds}
        self.record_row(rows, mask, visible, index, clip, time_s, category)

    @override
    def gather_row(self, rows: Sequence[str]) -> tuple[Samples, KeptMaps | None]:
        """The samples, with what is measured of the mismatched maps, and all maps."""
        return super().gather_row((*rows, MISMATCHED_ROW))

    @classmethod
    @override
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:
        """(n,) share of each on-screen map's pixels at or above the threshold of the model."""
        on_screen = samples.on_screen
        if not on_screen.any() or not kept.mismatched:
            return {}
        threshold = kept.threshold(MODEL_ROW)
        rows = {row: np.full(len(samples), np.nan) for row in kept.mismatched}
        for row, shares in rows.items():
            shares[on_screen] = pia(kept.cells(row, on_screen), threshold, kept.size, kept.interpolation).numpy()
        return {cls.name: rows}

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``pia`` and ``pia_auc``, 0..1, of each row of mismatched audio."""
        summary: Summary = {}
        for row, values in samples.measured.get(cls.name, {}).items():
            interval = bootstrap_interval(values[:, None], samples.clip)[:, 0]
            found = {"pia": float(values.mean()), "pia_interval": interval.tolist(), "pia_auc": pia_auc(values)}
            summary[row] = {samples.off_screen_rule: found}
        return summary
