"""True-negative rate of frames whose sounding source is off-screen."""

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from tavlo_pl.metrics.base import Measured
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.recorder import KeptMaps
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class TrueNegativeRate(GlobalThresholdMetric):
    """Share of pixels below the run's threshold in frames whose source is off-screen.

    The threshold is a quantile of the scores of all frames with a visible source, so both kinds must be given.
    """

    name: ClassVar[str] = "tn_rate"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure(
            "tn_rate",
            label="tn_rate",
            main=True,
            column="{rule}",
            note="off_screen: tn_rate, the share of pixels below the row's own {rule} threshold.",
        ),
    )
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "off_screen"

    @classmethod
    @override
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:
        """(n,) share of each off-screen map's pixels below the threshold of its row."""
        off_screen = ~samples.on_screen
        if off_screen.all() or not off_screen.any():
            return {}
        rows = {row: np.full(len(samples), np.nan) for row in kept.rows}
        for row, shares in rows.items():
            maps, threshold = kept.cells(row, off_screen), kept.threshold(row)
            shares[off_screen] = true_negative_share(maps, threshold, kept.size, kept.interpolation).numpy()
        return {cls.name: rows}

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """The share below the threshold; the column is named after the off-screen rule."""
        return {samples.off_screen_rule: samples.measured.get(cls.name, {})}
