"""Samples to look at: ground truth beside prediction, with one slider for the threshold of all maps.

The page carries raw maps of a few cells and the truth, one bit a pixel. The browser upsamples the maps with the
weights that the metrics use, and claims pixels, draws and measures at the slider's threshold.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import torch

from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.functional.upsample import Interpolation, upsample
from tavlo_pl.viz.colormap import INFERNO
from tavlo_pl.viz.page import data_uri, grid

DEFAULT_SHARE = 0.1
"""Share of each picture that is claimed at first, where the run's rule does not name one."""

STYLE = """
.bar { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center;
  padding: .6rem 0; background: var(--paper); border-bottom: 1px solid var(--line); }
.bar input[type=range] { flex: 1 1 12rem; min-width: 0; accent-color: var(--mark); }
.bar output { font-variant-numeric: tabular-nums; min-width: 11ch; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .6rem; }
.tiles { display: grid; gap: .4rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9rem), 1fr)); }
.tile { margin: 0; min-width: 0; }
.tile > div { position: relative; background: #000; }
.tile img, .tile canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.tile output { display: block; }
"""

BAR = """<div class="bar">
<label><input type="radio" name="by" value="share"> share of each picture</label>
<label><input type="radio" name="by" value="score"> raw score</label>
<input type="range" id="slider-threshold" min="0" max="1" step="any" aria-label="threshold">
<output id="slider-level"></output>
</div>"""

SCRIPT = """
(() => {
  const data = JSON.parse(document.getElementById("slider-data").textContent);
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const floats = text => new Float32Array(bytes(text).buffer);
  const size = data.size, pixels = size * size, palette = bytes(data.palette);
  const slider = document.getElementById("slider-threshold");

  // The rows of W give each pixel's share of each cell: a map at the evaluation size is Wh M Ww'.
  function upsampled(map, height, width) {
    const down = floats(data.weights[height]), along = floats(data.weights[width]);
    const out = new Float32Array(pixels), line = new Float32Array(width);
    for (let y = 0; y < size; y++) {
      line.fill(0);
      for (let i = 0; i < height; i++) {
        const w = down[y * height + i];
        if (w) for (let j = 0; j < width; j++) line[j] += w * map[i * width + j];
      }
      for (let x = 0; x < size; x++) {
        let sum = 0;
        for (let j = 0; j < width; j++) sum += along[x * width + j] * line[j];
        out[y * size + x] = sum;
      }
    }
    return out;
  }

  function unpacked(text) {
    const octets = bytes(text);
    return Uint8Array.from({length: pixels}, (_, n) => octets[n >> 3] >> (7 - (n & 7)) & 1);
  }

  function isRim(set, n) {
    const x = n % size, y = (n - x) / size;
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
      const inside = x + dx >= 0 && x + dx < size && y + dy >= 0 && y + dy < size;
      if (!inside || !set[n + dy * size + dx]) return true;
    }
    return false;
  }

  // A colour as one number, in the byte order of a canvas.
  const packed = (r, g, b, alpha) => new Uint32Array(Uint8Array.of(r, g, b, alpha).buffer)[0];
  const RIM = packed(0, 255, 200, 255), INSIDE = packed(0, 255, 200, 90), DIM = packed(0, 0, 0, 110);
  const heat = Array.from({length: 256}, (_, n) => packed(...palette.subarray(3 * n, 3 * n + 3), 175));
  const level = score => Math.round(255 * Math.min(1, Math.max(0, (score - data.low) / (data.high - data.low))));

  function paint(canvas, colours) {
    canvas.width = canvas.height = size;
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(colours.buffer), size), 0, 0);
  }

  const truths = data.truths.map(text => {
    const set = unpacked(text), edge = set.map((inside, n) => inside && isRim(set, n));
    return {set, edge, area: set.reduce((sum, bit) => sum + bit, 0)};
  });
  for (const canvas of document.querySelectorAll("canvas[data-truth]")) {
    const {set, edge} = truths[canvas.dataset.truth];
    paint(canvas, Uint32Array.from(set, (inside, n) => edge[n] ? RIM : inside ? INSIDE : 0));
  }
  const tiles = [...document.querySelectorAll("canvas[data-map]")].map(canvas => {
    const {map, height, width, truth} = data.maps[canvas.dataset.map];
    const score = upsampled(floats(map), height, width);
    const output = canvas.closest("figure").querySelector("output");
    const lit = Uint32Array.from(score, value => heat[level(value)]);
    return {canvas, output, score, lit, ordered: score.slice().sort(), truth: truths[truth]};
  });

  function draw() {
    const byShare = document.querySelector("input[name=by]:checked").value === "share", value = +slider.value;
    document.getElementById("slider-level").textContent =
      byShare ? `top ${(100 * value).toFixed(1)} %` : `score ≥ ${value.toFixed(3)}`;
    const rank = Math.min(pixels - 1, Math.max(0, Math.floor((1 - value) * pixels + 1e-6)));
    for (const {canvas, output, score, lit, ordered, truth} of tiles) {
      const threshold = byShare ? ordered[rank] : value, colours = new Uint32Array(pixels);
      let claimed = 0, both = 0;
      for (let n = 0; n < pixels; n++) {
        const on = score[n] >= threshold;
        claimed += on;
        both += on && truth.set[n];
        colours[n] = truth.edge[n] ? RIM : on ? lit[n] : DIM;
      }
      paint(canvas, colours);
      output.textContent = truth.area ? `now ${(both / (truth.area + claimed - both)).toFixed(2)}`
        : `now ${(1 - claimed / pixels).toFixed(2)}`;
    }
  }

  function choose(by, value) {
    document.querySelector(`input[name=by][value=${by}]`).checked = true;
    [slider.min, slider.max] = by === "share" ? [0, 1] : [data.low, data.high];
    slider.value = value;
    draw();
  }
  slider.addEventListener("input", draw);
  for (const input of document.querySelectorAll("input[name=by]"))
    input.addEventListener("change", () => choose(input.value, data.start[input.value]));
  choose(data.by, data.start[data.by]);
})();
"""


class Shown(NamedTuple):
    """A sample to look at.

    Attributes:
        title: its name.
        lines: what is known of it, plain text.
        frame: the annotated frame as a JPEG file; None where it cannot be had.
        aspect: width of the frame divided by its height.
        truth: (S, S) bool, empty where the source is off-screen.
        maps: run -> (h, w) raw scores.
        scores: run -> what the run reached on this sample, in words.
    """

    title: str
    lines: Sequence[str]
    frame: bytes | None
    aspect: float
    truth: np.ndarray
    maps: Mapping[str, np.ndarray]
    scores: Mapping[str, str]


def samples_html(
    groups: Mapping[str, Sequence[Shown]], rule: str, interpolation: Interpolation, universal: float | None
) -> str:
    """Cards of samples under one slider; goes with `STYLE` and `SCRIPT`, once a page.

    Args:
        groups: heading -> samples; at least one sample in all, all masks of one size.
        rule: the threshold rule of the run, where the slider stands at first.
        interpolation: from cells to pixels.
        universal: the run's universal threshold, where the slider stands at first when it means raw scores.
    """
    shown = [sample for samples in groups.values() for sample in samples]
    maps = [heatmap for sample in shown for heatmap in sample.maps.values()]
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    size = shown[0].truth.shape[-1]
    parsed = parse_rule(rule)
    score = (low + high) / 2 if universal is None else universal
    start = {
        "share": 1 - float(parsed.value) if parsed.kind == "top" else DEFAULT_SHARE,
        "score": float(parsed.value) if parsed.kind == "fixed" else score,
    }
    data: dict[str, Any] = {
        "size": size,
        "palette": _base64(INFERNO),
        "low": low,
        "high": max(high, low + 1e-6),  # flat maps have one score
        "by": "share" if parsed.kind in ("top", "adaptive") else "score",
        "start": start,
        "weights": {
            str(cells): _base64(upsampling_weights(cells, size, interpolation))
            for cells in sorted({cells for heatmap in maps for cells in heatmap.shape})
        },
        "truths": [_base64(np.packbits(sample.truth)) for sample in shown],
        "maps": [],
    }
    parts = []
    place = 0
    for heading, samples in groups.items():
        cards = []
        for sample in samples:
            cards.append(_card(sample, place, len(data["maps"])))
            data["maps"] += [_map(heatmap, place) for heatmap in sample.maps.values()]
            place += 1
        parts.append(f"<h3>{escape(heading)}</h3>\n{grid(cards, 320 if len(shown[0].maps) == 1 else 460)}")
    # Numbers and base64 only: nothing in it can end the script.
    return "\n".join([BAR, *parts, f'<script type="application/json" id="slider-data">{json.dumps(data)}</script>'])


def upsampling_weights(cells: int, size: int, interpolation: Interpolation) -> np.ndarray:
    """How much each of S pixels takes from each of n cells along one side; what `upsample` does is separable.

    Returns:
        (S, n) float32; a map M at the evaluation size is ``W M Wᵀ``.
    """
    weights: np.ndarray = upsample(torch.eye(cells)[:, :, None], size, interpolation)[:, :, 0].T.numpy()
    return np.ascontiguousarray(weights)


def _card(sample: Shown, place: int, first_map: int) -> str:
    lines = "".join(f'<div class="dim">{escape(line)}</div>' for line in sample.lines)
    truth = "ground truth" if sample.truth.any() else "ground truth: off-screen"
    tiles = [_tile(sample, f'data-truth="{place}"', truth, "")]
    for number, run in enumerate(sample.maps, start=first_map):
        score = f"{escape(sample.scores[run])}<output></output>"
        tiles.append(_tile(sample, f'data-map="{number}"', run, score))
    head = f"<strong>{escape(sample.title)}</strong>{lines}"
    return f'<div class="card">{head}<div class="tiles">{"".join(tiles)}</div></div>'


def _tile(sample: Shown, source: str, name: str, below: str) -> str:
    frame = f'<img src="{data_uri(sample.frame, "jpeg")}" alt="">' if sample.frame else ""
    canvas = f'<canvas {source} role="img" aria-label="{escape(name)} of {escape(sample.title)}"></canvas>'
    caption = f"<figcaption>{escape(name)}<br>{below}</figcaption>"
    return (
        f'<figure class="tile"><div style="aspect-ratio: {sample.aspect:.4f}">{frame}{canvas}</div>{caption}</figure>'
    )


def _map(heatmap: np.ndarray, truth: int) -> dict[str, Any]:
    height, width = heatmap.shape
    return {"map": _base64(heatmap.astype(np.float32)), "height": height, "width": width, "truth": truth}


def _base64(array: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()
