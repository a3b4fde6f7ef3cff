"""Pointing: the share of time in which the peak of the map is on the source."""

from typing import ClassVar

import numpy as np
from torch import Tensor
from typing_extensions import override

from tavlo_pl.metrics.base import EVERY_RULE, LocalizationMetric, Summary
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.video import peak_on_source, share_of_clip
from tavlo_pl.metrics.recorder import Column, EvaluatedMaps
from tavlo_pl.metrics.samples import Samples


def _peak_on_source(maps: EvaluatedMaps) -> Tensor:
    return peak_on_source(maps.preds, maps.target)


POINTING = Column("pointing", _peak_on_source)
"""(n,) the share of the map's highest pixels that are on the source, mostly 0 or 1."""


class Pointing(LocalizationMetric):
    """Share of the annotated frames of a clip in which the peak of the map is on the source; mean over clips."""

    name: ClassVar[str] = "pointing"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (Figure("pointing", label="pointing, share of time"),)
    columns: ClassVar[tuple[Column, ...]] = (POINTING,)

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``pointing``, 0..1."""
        rows = samples.measured.get(POINTING.name, {})
        if not rows or not len(samples):
            return {}
        clips, share = share_of_clip(np.stack(list(rows.values()), 1), samples.clip)
        interval = bootstrap_interval(share, clips)
        return {
            row: {EVERY_RULE: {"pointing": float(share[:, r].mean()), "pointing_interval": interval[:, r].tolist()}}
            for r, row in enumerate(rows)
        }
