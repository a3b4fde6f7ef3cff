"""What only a video can show, as torchmetrics classes. Exact under DDP."""

from typing import Any

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.upsample import Interpolation, upsample
from tavlo_pl.metrics.functional.video import (
    delay_figures,
    peak_on_source,
    share_of_clip,
    silent_pairs,
    stability,
    switches,
)
from tavlo_pl.metrics.per_sample import PerSampleMetric
from tavlo_pl.metrics.thresholded import GlobalThresholdMetric


class Pointing(PerSampleMetric):
    """Share of time in which the peak is on the source, a mean over clips; and how soon it follows a new source."""

    def __init__(self, interpolation: Interpolation = "bilinear") -> None:
        """
        Args:
            interpolation: from cells to the size of the masks.
        """
        super().__init__()
        self.interpolation = interpolation
        self.add_columns("index", "clip", "time_s", "hit")
        self.add_text_columns("category")

    def update(
        self, maps: Tensor, truth: Tensor, index: Tensor, clip: Tensor, time_s: Tensor, category: list[str]
    ) -> None:
        """
        Args:
            maps: (N, h, w) raw scores of frames with a visible source.
            truth: (N, S, S) bool, pixels of the sounding source.
            index: (N,) int64, unique over the dataset.
            clip: (N,) int64, the video of each sample.
            time_s: (N,) float64, when its frame is shown.
            category: N strings, what sounds, joined by ``+``.
        """
        pixels = upsample(maps, truth.shape[-1], self.interpolation).flatten(1)
        hit = peak_on_source(pixels, truth.flatten(1))
        self.append(index=index, clip=clip, time_s=time_s, hit=hit, category=category)

    def compute(self) -> dict[str, Any]:
        """``pointing``, 0..1, over all processes; where a source gives way to another also its `delay_figures`."""
        table = self.gather("index", "clip", "time_s", "hit", "category")
        _, share = share_of_clip(table["hit"][:, None], table["clip"])
        found = switches(table["clip"], table["time_s"], table["category"])
        delay = delay_figures(found, table["time_s"], table["hit"]) if found else {}
        return {"pointing": float(share.mean()), **delay}


class Stability(GlobalThresholdMetric):
    """Share of pixels that stay on their side of the run's threshold from one silent moment of a clip to the next."""

    def __init__(self, rule: str = "universal:0.9", size: int = 224, interpolation: Interpolation = "bilinear") -> None:
        super().__init__(rule, size, interpolation)
        self.add_columns("index", "maps", "on_screen", "clip", "time_s")

    def update(self, maps: Tensor, on_screen: Tensor, index: Tensor, clip: Tensor, time_s: Tensor) -> None:
        """
        Args:
            maps: (N, h, w) raw scores.
            on_screen: (N,) bool, whether the sounding source is visible.
            index: (N,) int64, unique over the dataset.
            clip: (N,) int64, the video of each sample.
            time_s: (N,) float64, when its frame is shown.
        """
        self.append(index=index, maps=maps.float(), on_screen=on_screen, clip=clip, time_s=time_s)

    def compute(self) -> dict[str, float | None]:
        """``stability``, 0..1, over all processes; None where no clip has two silent moments in a row.

        Raises:
            ConfigError: no frame with a visible source was seen.
        """
        table = self.gather("index", "maps", "on_screen", "clip", "time_s")
        maps, seen = torch.from_numpy(table["maps"]), table["on_screen"].astype(bool)
        threshold = self.threshold_of(maps[seen])
        pairs = silent_pairs(table["clip"], table["time_s"], ~seen)
        first, second = (upsample(maps[side], self.size, self.interpolation).flatten(1) for side in pairs.T)
        return {"stability": float(stability(first, second, threshold).mean()) if len(pairs) else None}
