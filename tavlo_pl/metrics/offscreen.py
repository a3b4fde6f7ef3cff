"""True-negative rate of frames whose sounding source is off-screen."""

from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from tavlo_pl.metrics.base import Measured
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.metrics.recorder import KeptMaps
from tavlo_pl.metrics.samples import Samples
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class TrueNegativeRate(GlobalThresholdMetric):
    """Share of pixels below the run's threshold in frames whose source is off-screen.

    Of a frame that also has a visible source, the pixels outside of that source count. The share is that of all counted
    pixels, as in AVATAR's evaluator: TN / (TN + FP). Alone, the class pools the frames with a visible source for the
    threshold, so both kinds must be given.
    """

    name: ClassVar[str] = "tn_rate"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure(
            "tn_rate",
            label="tn_rate",
            main=True,
            column="tn_rate",
            note="off_screen: tn_rate, the share of pixels below the row's own {rule} threshold; maps without "
            "information get 90 %.",
        ),
    )
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "off_screen"

    @classmethod
    @override
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:
        """(n,) share of each off-screen map's pixels below the threshold of its row."""
        off_screen, mixed = samples.off_screen, samples.off_screen & samples.on_screen
        if not kept.has_threshold or not off_screen.any():
            return {}
        rows = {row: np.full(len(samples), np.nan) for row in kept.rows}
        for row, shares in rows.items():
            maps, threshold = kept.cells(row, off_screen), kept.threshold(row)
            shares[off_screen] = true_negative_share(maps, threshold, kept.size, kept.interpolation).numpy()
            for place in np.flatnonzero(mixed).tolist():
                shares[place] = _share_outside(kept, row, place)
        return {cls.name: rows}

    @classmethod
    @override
    def weights(cls, samples: Samples) -> np.ndarray | None:
        """(n,) the number of pixels that count; None where all pixels of all samples do."""
        area = samples.info["area"]
        return np.asarray(samples.pixels - area, np.float64) if area.any() else None

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """The share below the threshold."""
        return {cls.name: samples.measured.get(cls.name, {})}


def _share_outside(kept: KeptMaps, row: str, place: int) -> float:
    """Share of the pixels outside of a sample's visible source that are below the threshold of the row."""
    chosen = np.array([place])
    below = upsample(kept.cells(row, chosen), kept.size, kept.interpolation).flatten(1).numpy() < kept.threshold(row)
    outside = ~kept.target(chosen)
    return int(np.count_nonzero(below & outside)) / max(int(np.count_nonzero(outside)), 1)
