"""Stability: how little the map changes between silent moments of a clip."""

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import Measured
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.baselines import SHARED
from tavlo_pl.metrics.functional.upsample import for_each_chunk, upsample
from tavlo_pl.metrics.functional.video import silent_pairs, stability
from tavlo_pl.metrics.recorder import KeptMaps
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class Stability(GlobalThresholdMetric):
    """Share of pixels that stay above or below the run's threshold between off-screen frames of a clip."""

    name: ClassVar[str] = "stability"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (Figure("stability", label="stability, off_screen"),)
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "off_screen"

    @classmethod
    @override
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:
        """(n,) the share for each off-screen sample whose next annotated frame of the clip is off-screen too."""
        pairs = silent_pairs(samples.clip, samples.info["time_s"], ~samples.on_screen)
        if not len(pairs) or not kept.has_threshold:
            return {}
        rows = {row: np.full(len(samples), np.nan) for row in kept.rows}
        for row, values in rows.items():
            values[pairs[:, 0]] = 1.0 if row in SHARED else _shares(row, pairs, kept)
        return {cls.name: rows}


def _shares(row: str, pairs: np.ndarray, kept: KeptMaps) -> np.ndarray:
    """(M,) of each of M pairs of samples."""
    first, second = kept.cells(row, pairs[:, 0]), kept.cells(row, pairs[:, 1])
    threshold = kept.threshold(row)
    shares = torch.zeros(len(pairs), dtype=torch.float64)

    def compare(chunk: slice, before: Tensor) -> None:
        after = upsample(second[chunk], kept.size, kept.interpolation).flatten(1)
        shares[chunk] = stability(before, after, threshold)

    for_each_chunk(compare, first, kept.size, kept.interpolation)
    return shares.numpy()
