"""Data of sample cards: ground truth beside prediction, with one threshold slider for all maps.

The page contains raw maps of a few cells and the ground-truth mask with one bit a pixel. The browser upsamples the maps
with the interpolation weights of the metrics, thresholds them and computes the scores at the slider's position
(``static/samples.js``, ``templates/samples.html.j2``).
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.metrics.protocols import Interpolation
from tavlo_pl.viz.colormap import INFERNO

DEFAULT_SHARE = 0.1
"""Initial share of pixels above the threshold where the run's rule does not define one."""

NARROW_CARD_PX = 320
WIDE_CARD_PX = 460
"""Minimum width of a card with the map of one run, and with the maps of several."""


class Shown(NamedTuple):
    """A sample of the page.

    Attributes:
        title: its name.
        lines: its properties, plain text.
        frame: the annotated frame as the bytes of a JPEG file; None where it is not available.
        aspect: width of the frame divided by its height.
        truth: (H, W) bool, empty where the source is off-screen.
        maps: run -> (h, w) raw scores.
        scores: run -> the score of the run on this sample, as text.
    """

    title: str
    lines: Sequence[str]
    frame: bytes | None
    aspect: float
    truth: np.ndarray
    maps: Mapping[str, np.ndarray]
    scores: Mapping[str, str]


class Card(NamedTuple):
    """A sample with the indices of its masks and maps in the data for the browser.

    Attributes:
        sample: the sample.
        truth: index of its ground-truth mask.
        maps: index of each map and the name of its run.
    """

    sample: Shown
    truth: int
    maps: list[tuple[int, str]]


class Viewer(NamedTuple):
    """Variables of the macro ``sample_cards``.

    Attributes:
        groups: heading -> cards.
        card_width_px: minimum width of a card.
        data: masks, maps, interpolation weights, colours and the initial threshold; plain JSON values.
    """

    groups: dict[str, list[Card]]
    card_width_px: int
    data: dict[str, Any]


def make_viewer(
    groups: Mapping[str, Sequence[Shown]], rule: str, interpolation: Interpolation, universal: float | None
) -> Viewer:
    """Prepares the cards of samples and the data for the browser.

    Args:
        groups: heading -> samples; at least one sample in total, all masks of one size.
        rule: the threshold rule of the run, which sets the initial position of the slider.
        interpolation: from cells to pixels.
        universal: the run's universal threshold: the initial position of the slider for raw scores.
    """
    samples = [sample for members in groups.values() for sample in members]
    maps = [heatmap for sample in samples for heatmap in sample.maps.values()]
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    size = samples[0].truth.shape
    parsed = parse_rule(rule)
    score = (low + high) / 2 if universal is None else universal
    data: dict[str, Any] = {
        "height": size[0],
        "width": size[1],
        "colormap": _base64(INFERNO),
        "low": low,
        "high": max(high, low + 1e-6),  # constant maps have a single score
        "by": "share" if parsed.kind in ("top", "adaptive") else "score",
        "start": {
            "share": 1 - float(parsed.value) if parsed.kind == "top" else DEFAULT_SHARE,
            "score": float(parsed.value) if parsed.kind == "fixed" else score,
        },
        "weights": [
            {
                str(cells): _base64(upsampling_weights(cells, side, interpolation))
                for cells in sorted({heatmap.shape[axis] for heatmap in maps})
            }
            for axis, side in enumerate(size)
        ],
        "truths": [_base64(np.packbits(sample.truth)) for sample in samples],
        "maps": [],
    }
    cards: dict[str, list[Card]] = {heading: [] for heading in groups}
    truth = 0
    for heading, members in groups.items():
        for sample in members:
            cards[heading].append(Card(sample, truth, list(enumerate(sample.maps, start=len(data["maps"])))))
            data["maps"] += [_map(heatmap, truth) for heatmap in sample.maps.values()]
            truth += 1
    return Viewer(cards, NARROW_CARD_PX if len(samples[0].maps) == 1 else WIDE_CARD_PX, data)


def upsampling_weights(cells: int, side: int, interpolation: Interpolation) -> np.ndarray:
    """Weights with which each of S pixels along one side reads each of n cells; `upsample` is separable.

    Returns:
        (S, n) float32; with the weights D down and A along, a map M at the evaluation size is ``D M Aᵀ``.
    """
    weights: np.ndarray = upsample(torch.eye(cells)[:, :, None], (side, 1), interpolation)[:, :, 0].T.numpy()
    return np.ascontiguousarray(weights)


def _map(heatmap: np.ndarray, truth: int) -> dict[str, Any]:
    height, width = heatmap.shape
    return {"map": _base64(heatmap.astype(np.float32)), "height": height, "width": width, "truth": truth}


def _base64(array: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()
