"""From maps to words: where the source is at each moment, and whether there is one to be seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SAMPLES_PER_CELL = 7
"""How finely a map is interpolated to find a peak and a box: places are right to a
seventh of a cell. Odd, so that the centre of a cell, where its score is highest, is among them."""

MAPS_AT_ONCE = 64

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Moment:
    """What one map says.

    Attributes:
        time_s: seconds on the video's clock.
        x: of the highest score, in pixels from the picture's left.
        y: of the highest score, in pixels from its top.
        score: the highest raw score, in [-1, 1].
        box: (left, top, right, bottom) in pixels of the region around the peak where the score reaches the threshold;
            None where no source is visible or the checkpoint has no threshold.
        visible: whether the highest score reaches the threshold; None where the checkpoint has none.
    """

    time_s: float
    x: float
    y: float
    score: float
    box: Box | None
    visible: bool | None


@dataclass(frozen=True)
class Localization:
    """What a model says about one video.

    Attributes:
        sample_id: its name.
        path: the file.
        duration_s: its length in seconds.
        size: height and width of its picture in pixels, as it is to be seen.
        time_s: (T,) float64, the moments of the maps in seconds, ascending.
        heatmap: (T, h, w) float16, raw scores in [-1, 1] over the whole picture.
        threshold: score from which on a pixel is said to sound; None for a checkpoint without one.
    """

    sample_id: str
    path: Path
    duration_s: float
    size: tuple[int, int]
    time_s: NDArray[np.float64]
    heatmap: NDArray[np.float16]
    threshold: float | None

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """One for each map."""
        return moments_of(self.heatmap, self.time_s, self.size, self.threshold)

    @property
    def best(self) -> Moment:
        """The moment of the highest score."""
        return max(self.moments, key=lambda moment: moment.score)

    def moment_at(self, time_s: float) -> Moment:
        """The moment nearest in time."""
        return self.moments[int(np.abs(self.time_s - time_s).argmin())]

    def to_json(self, made_with: Mapping[str, Any]) -> str:
        """The text of ``<id>.sources.json``; ``docs/predict.md`` describes it.

        Args:
            made_with: checkpoint and options, kept beside the figures.
        """
        known = [moment.visible for moment in self.moments if moment.visible is not None]
        summary = {
            "sample_id": self.sample_id,
            "video": self.path.name,
            "duration_s": round(self.duration_s, 3),
            "width": self.size[1],
            "height": self.size[0],
            "threshold": self.threshold,
            "score": self.best.score,
            "best_s": self.best.time_s,
            "visible_share": sum(known) / len(known) if known else None,
            "made_with": dict(made_with),
        }
        steps = [
            {
                "time_s": round(moment.time_s, 4),
                "peak": [round(moment.x, 1), round(moment.y, 1)],
                "box": moment.box and [round(edge, 1) for edge in moment.box],
                "score": round(moment.score, 4),
                "visible": moment.visible,
            }
            for moment in self.moments
        ]
        lines = ",\n".join(json.dumps(step) for step in steps)
        return json.dumps(summary, indent=1, ensure_ascii=False)[:-2] + f',\n "steps": [\n{lines}\n]}}\n'


def moments_of(
    heatmap: NDArray[np.float16], time_s: NDArray[np.float64], size: tuple[int, int], threshold: float | None
) -> tuple[Moment, ...]:
    """What each of (T, h, w) maps says about a picture of `size` (height, width).

    The maps are interpolated as the metrics do it (bilinear between the centres of cells).
    """
    fine = tuple(SAMPLES_PER_CELL * cells for cells in heatmap.shape[1:])
    pixels = np.array([size[1] / fine[1], size[0] / fine[0]] * 2)  # of a sample: x, y, x, y
    found: list[Moment] = []
    for first in range(0, len(heatmap), MAPS_AT_ONCE):
        some = torch.from_numpy(heatmap[first : first + MAPS_AT_ONCE].astype(np.float32))
        scores = F.interpolate(some[:, None], fine, mode="bilinear")[:, 0]
        peaks = scores.flatten(1).argmax(1)
        boxes = None if threshold is None else _boxes(scores >= threshold, peaks)
        for row, peak in enumerate(peaks.tolist()):
            y, x = divmod(peak, fine[1])
            score = float(scores[row, y, x])
            visible = None if threshold is None else score >= threshold
            box = None
            if boxes is not None and visible:
                left, top, right, bottom = (boxes[row] * pixels).tolist()
                box = (left, top, right, bottom)
            centre = (np.array([x, y]) + 0.5) * pixels[:2]
            found.append(Moment(float(time_s[first + row]), float(centre[0]), float(centre[1]), score, box, visible))
    return tuple(found)


def _boxes(claimed: Tensor, peaks: Tensor) -> NDArray[np.int64]:
    """(N, 4) left, top, right and bottom of the connected claimed samples around each peak; right and bottom are the
    first samples outside.

    Args:
        claimed: (N, H, W) bool.
        peaks: (N,) place of the peak among H·W samples; where it is not claimed the box means nothing.
    """
    region = torch.zeros_like(claimed)
    region.flatten(1)[torch.arange(len(peaks)), peaks] = True
    while True:  # one more ring of samples at a time
        grown = F.max_pool2d(region[:, None].float(), 3, stride=1, padding=1)[:, 0].bool() & claimed
        grown |= region
        if torch.equal(grown, region):
            break
        region = grown
    columns, rows = region.any(1).int(), region.any(2).int()
    edges = [
        columns.argmax(1),
        rows.argmax(1),
        columns.shape[1] - columns.flip(1).argmax(1),
        rows.shape[1] - rows.flip(1).argmax(1),
    ]
    return torch.stack(edges, 1).numpy()
