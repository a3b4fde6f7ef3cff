"""Scenes: whether the model finds every one of several sources in a frame (IS3)."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from tavlo_pl.metrics.base import Measured, Summary
from tavlo_pl.metrics.figure import ON_SCREEN, Figure
from tavlo_pl.metrics.functional.ciou import scene_minimum
from tavlo_pl.metrics.localization import summarize_ciou
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import CIOU, ThresholdedMetric

RENAMED = {"ciou_at_50": "iiou", "ciou_auc": "iauc"}


class SceneCIoU(ThresholdedMetric):
    """IIoU and IAUC: a scene is a frame with several samples, one per source; its value is that of the lowest source.

    Samples of one clip at one time are a scene.
    """

    name: ClassVar[str] = "scenes"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("iiou", label="IIoU"),
        Figure("iauc", label="IAUC"),
        Figure("scenes", unit="count"),
    )
    groups: ClassVar[tuple[str, ...]] = (ON_SCREEN,)

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``iiou`` and ``iauc``, 0..1, and the number of ``scenes``, for each rule; empty without any scene."""
        frame = np.stack([samples.clip, samples.info["time_s"]], 1)
        _, scene, size = np.unique(frame, axis=0, return_inverse=True, return_counts=True)
        several = np.flatnonzero(size[scene] > 1)
        if not len(several):
            return {}
        _, first = np.unique(scene[several], return_index=True)
        rows = {
            row: scene_minimum(values[several], scene[several]) for row, values in samples.measured[CIOU.name].items()
        }
        summary = summarize_ciou(samples, rows, samples.clip[several][first])
        return {
            row: {
                rule: {
                    **{new: values[old] for old, new in RENAMED.items()},
                    **{f"{new}_interval": values[f"{old}_interval"] for old, new in RENAMED.items()},
                    "scenes": len(first),
                }
                for rule, values in by_rule.items()
            }
            for row, by_rule in summary.items()
        }

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """No columns."""
        return {}
