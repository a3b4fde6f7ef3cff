"""Peak, bounding box and visibility of the sound source for each heatmap of a video."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from tavlo_pl.io.remote import VideoPath

SAMPLES_PER_CELL, SAMPLES = 7, 140
"""Interpolated samples along each side of a cell, so that positions are exact to a seventh of a cell, and the most
along each side of a heatmap: one of many cells has fewer a cell. The number a cell is odd, so that the centre of a
cell, where its own score is located, is one of the samples."""

MAPS_PER_BATCH = 64
"""Heatmaps that are interpolated at a time, which limits memory."""

SOUNDS_NAMED = 3
"""Classes of sounds that are named at each time."""

Box = tuple[float, float, float, float]


class Sound(NamedTuple):
    """A class of sounds that is heard.

    Attributes:
        name: AudioSet's name of the class.
        score: in 0..1, of the audio encoder; not a probability.
    """

    name: str
    score: float


@dataclass(frozen=True)
class Moment:
    """The source at the time of one heatmap.

    Attributes:
        time_s: time in the video in seconds.
        x: position of the highest score in pixels from the left of the frame.
        y: position of the highest score in pixels from the top of the frame.
        score: the highest raw score, in [-1, 1].
        box: (left, top, right, bottom) in pixels of the region around the peak where the score reaches the threshold;
            None where no source is visible or the checkpoint has no threshold.
        visible: whether the highest score reaches the threshold; None if the checkpoint has no threshold.
    """

    time_s: float
    x: float
    y: float
    score: float
    box: Box | None
    visible: bool | None


@dataclass(frozen=True)
class Localization:
    """Heatmaps of one video.

    Attributes:
        sample_id: name of the video.
        path: the file.
        duration_s: length of the video in seconds.
        size: height and width of the displayed frames in pixels.
        time_s: (T,) float64, times of the heatmaps in seconds, ascending.
        heatmap: (T, h, w) float32, raw scores in [-1, 1] over the whole frame.
        threshold: pixels with at least this score count as sounding; None for a checkpoint without a threshold.
        sounds: the classes of sounds heard at each of the T times, best first; empty for a model whose audio encoder
            tells no classes.
        notes: sentences about how the file was read, such as which of several streams was used.
    """

    sample_id: str
    path: VideoPath
    duration_s: float
    size: tuple[int, int]
    time_s: NDArray[np.float64]
    heatmap: NDArray[np.float32]
    threshold: float | None
    sounds: tuple[tuple[Sound, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """The source at each of the T times."""
        return moments_of(self.heatmap, self.time_s, self.size, self.threshold)

    @property
    def best(self) -> Moment:
        """The moment with the highest score."""
        return max(self.moments, key=lambda moment: moment.score)

    def moment_at(self, time_s: float) -> Moment:
        """The moment that is nearest to a time in seconds."""
        return self.moments[int(np.abs(self.time_s - time_s).argmin())]

    def to_json(self, made_with: Mapping[str, Any], source: Mapping[str, Any] | None = None) -> str:
        """Returns the text of ``<id>.sources.json``, see ``docs/predict.md``.

        Args:
            made_with: checkpoint and options, stored with the results.
            source: size, time and fingerprint of the file, stored too.
        """
        known = [moment.visible for moment in self.moments if moment.visible is not None]
        summary = {
            "sample_id": self.sample_id,
            "video": source_text(self.path),
            "duration_s": round(self.duration_s, 3),
            "width": self.size[1],
            "height": self.size[0],
            "threshold": self.threshold,
            "score": self.best.score,
            "best_s": self.best.time_s,
            "visible_share": sum(known) / len(known) if known else None,
            "notes": list(self.notes),
            "made_with": dict(made_with),
        } | ({"source": dict(source)} if source is not None else {})
        steps = [
            {
                "time_s": round(moment.time_s, 4),
                "peak": [round(moment.x, 1), round(moment.y, 1)],
                "box": moment.box and [round(edge, 1) for edge in moment.box],
                "score": round(moment.score, 4),
                "visible": moment.visible,
            }
            | ({"sounds": [[sound.name, round(sound.score, 3)] for sound in sounds]} if sounds else {})
            for moment, sounds in zip_longest(self.moments, self.sounds)
        ]
        lines = ",\n".join(json.dumps(step) for step in steps)
        return json.dumps(summary, indent=1, ensure_ascii=False)[:-2] + f',\n "steps": [\n{lines}\n]}}\n'


def best_sounds(scores: NDArray[np.float32], names: Sequence[str]) -> tuple[tuple[Sound, ...], ...]:
    """The best classes of sounds at each time.

    Args:
        scores: (T, C) in 0..1.
        names: of the C classes.

    Returns:
        T times up to `SOUNDS_NAMED` classes, best first; empty if C is 0.
    """
    if not names:
        return ()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :SOUNDS_NAMED]
    return tuple(tuple(Sound(names[k], float(row[k])) for k in order) for row, order in zip(scores, best, strict=True))


def source_text(path: VideoPath) -> str:
    """Name of a video as valid UTF-8; bytes that are not are written as escapes."""
    return path.name.encode("utf-8", "backslashreplace").decode()


def moments_of(
    heatmap: NDArray[np.float32], time_s: NDArray[np.float64], size: tuple[int, int], threshold: float | None
) -> tuple[Moment, ...]:
    """Finds peak, box and visibility in each heatmap.

    Boxes are those of the heatmaps interpolated as in the metrics, bilinear between the centres of cells. Peaks may lie
    between cells (`peak_places`).

    Args:
        heatmap: (T, h, w) raw scores in [-1, 1].
        time_s: (T,) times in seconds.
        size: height and width of the frames in pixels, the unit of peaks and boxes.
        threshold: score from which on a pixel counts as sounding; None leaves boxes and visibility out.
    """
    fine = tuple(cells * _samples_per_cell(cells) for cells in heatmap.shape[1:])
    pixels = np.array([size[1] / fine[1], size[0] / fine[0]] * 2)  # of a sample: x, y, x, y
    moments: list[Moment] = []
    for first in range(0, len(heatmap), MAPS_PER_BATCH):
        batch = torch.from_numpy(heatmap[first : first + MAPS_PER_BATCH].astype(np.float32))
        scores = interpolate(batch[:, None], fine, mode="bilinear")[:, 0]
        peaks = scores.flatten(1).argmax(1)
        boxes = None if threshold is None else _boxes(scores >= threshold, peaks)
        places = peak_places(batch.numpy()) * [size[1], size[0]]
        for row, peak in enumerate(peaks.tolist()):
            y, x = divmod(peak, fine[1])
            score = float(scores[row, y, x])
            visible = None if threshold is None else score >= threshold
            box = None
            if boxes is not None and visible:
                left, top, right, bottom = (boxes[row] * pixels).tolist()
                box = (left, top, right, bottom)
            place_x, place_y = places[row].tolist()
            moments.append(Moment(float(time_s[first + row]), place_x, place_y, score, box, visible))
    return tuple(moments)


def peak_places(heatmaps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Finds the peaks of heatmaps, between cells too.

    On each axis, the vertex of the parabola through the highest cell and its two neighbours, at most half a cell away;
    at the edge of the map, the centre of the cell.

    Args:
        heatmaps: (N, h, w) scores.

    Returns:
        (N, 2) x and y in 0..1 of the width and height.
    """
    count, height, width = heatmaps.shape
    y, x = np.divmod(heatmaps.reshape(count, -1).argmax(1), width)
    rows, values = np.arange(count), np.pad(heatmaps.astype(np.float64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    place = np.stack([x, y], 1).astype(np.float64) + 0.5
    for axis, (step_y, step_x, at, cells) in enumerate(((0, 1, x, width), (1, 0, y, height))):
        before, own, after = (values[rows, y + 1 + k * step_y, x + 1 + k * step_x] for k in (-1, 0, 1))
        bend = before - 2 * own + after
        is_inner = (at > 0) & (at < cells - 1) & (bend < 0)
        place[is_inner, axis] += (0.5 * (before - after)[is_inner] / bend[is_inner]).clip(-0.5, 0.5)
    return place / [width, height]


def _samples_per_cell(cells: int) -> int:
    most = min(SAMPLES_PER_CELL, SAMPLES // cells)
    return max(1, most if most % 2 else most - 1)


def _or_neighbours(region: Tensor, axis: int) -> Tensor:
    """Marks the neighbours of marked samples along an axis too."""
    grown = region.clone()
    inner = region.shape[axis] - 1
    grown.narrow(axis, 1, inner).logical_or_(region.narrow(axis, 0, inner))
    grown.narrow(axis, 0, inner).logical_or_(region.narrow(axis, 1, inner))
    return grown


def _boxes(mask: Tensor, peaks: Tensor) -> NDArray[np.int64]:
    """Bounding boxes of the connected regions of masks that contain the peaks.

    Args:
        mask: (N, H, W) bool.
        peaks: (N,) indices of the peaks among the H·W samples; the box is undefined where a peak is not in its mask.

    Returns:
        (N, 4) left, top, right and bottom in samples; right and bottom are the first samples outside of the region.
    """
    region = torch.zeros_like(mask)
    region.flatten(1)[torch.arange(len(peaks)), peaks] = True
    while True:  # dilates the regions by one sample, 8-connected
        grown = _or_neighbours(_or_neighbours(region, 1), 2) & mask
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
