"""AVATAR's evaluation, slow and written from its description; shares no line with the package.

One frame at a time, in plain NumPy and Pillow: every frame of every video has one cIoU at one threshold for the whole
model, which is the lowest of the highest tenth of all values of all frames.
"""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 360
ON_SCREEN = {"Single-Sound", "Mixed-Sound", "Multi-Entity"}
STRIDE = 8


def rectangle_mask(polygons: list[list[float]]) -> np.ndarray:
    """Union of axis-aligned rectangles with whole corners, x0 y0 x1 y0 x1 y1 x0 y1: pixel n covers n to n + 1."""
    image = Image.new("1", (WIDTH, HEIGHT))
    for corners in polygons:
        x0, y0, x1, y1 = corners[0], corners[1], corners[4], corners[5]
        ImageDraw.Draw(image).rectangle((x0, y0, x1 - 1, y1 - 1), fill=1)
    return np.asarray(image, bool)


def in_space(cells: np.ndarray) -> np.ndarray:
    """Bilinear between the centres of the cells, pixel by pixel along each axis; the outer half cells are constant."""
    out = cells.astype(np.float64)
    for axis, length in ((0, HEIGHT), (1, WIDTH)):
        n = out.shape[axis]
        lines = []
        for pixel in range(length):
            place = min(max((pixel + 0.5) * n / length - 0.5, 0.0), n - 1.0)
            low = math.floor(place)
            high = min(low + 1, n - 1)
            share = place - low
            lines.append((1 - share) * np.take(out, low, axis) + share * np.take(out, high, axis))
        out = np.stack(lines, axis)
    return out


def in_time(maps: np.ndarray, frame: int) -> np.ndarray:
    """The map of a frame, linear between the maps of the frames before and after it that are multiples of eight."""
    before = min(frame // STRIDE, len(maps) - 1)
    after = min(before + 1, len(maps) - 1)
    share = min((frame - STRIDE * before) / STRIDE, 1.0) if after > before else 0.0
    return (1 - share) * maps[before].astype(np.float64) + share * maps[after].astype(np.float64)


def evaluate(root: Path, model: Path, missing: str = "error") -> dict[str, Any]:
    """Figures of all frames, by scenario.

    Args:
        root: AVATAR's folder, with ``metadata``.
        model: folder with ``heatmap/<clip>.npy``.
        missing: ``zero`` takes maps of zeros where there is no file, ``skip`` leaves out the frames.
    """
    frames: dict[str, tuple[np.ndarray, np.ndarray, set[str]]] = {}
    for path in sorted((root / "metadata").glob("*/*.json")):
        clip, frame = path.parent.name, int(path.stem)
        annotations = json.loads(path.read_text())["annotations"]
        file = model / "heatmap" / f"{clip}.npy"
        if not file.exists() and missing == "skip":
            continue
        maps = np.load(file) if file.exists() else np.zeros((1, 2, 2))
        maps = maps[:, 0] if maps.ndim == 4 else maps
        shown = [polygon for a in annotations if a["task"] in ON_SCREEN for polygon in a["segmentation"]]
        pixels = in_space(in_time(maps, frame))
        frames[f"{clip}_{path.stem}"] = pixels, rectangle_mask(shown), {a["task"] for a in annotations}
    values = np.sort(np.concatenate([pixels.ravel() for pixels, _, _ in frames.values()]))
    thresholds = {level: values[min(int((1 - Fraction(level)) * len(values)), len(values) - 1)] for level in LEVELS}
    results: dict[str, Any] = {"thresholds": thresholds, "frames": {}, "ciou": {"Total": []}, "tn": 0, "fp": 0}
    for name, (pixels, truth, tasks) in frames.items():
        found = pixels >= thresholds["0.1"]
        entry: dict[str, Any] = {"ciou": None}
        if tasks & ON_SCREEN:
            both, either = np.sum(found & truth), np.sum(found | truth)
            entry["ciou"] = both / either if either else 0.0
            for group in ("Total", *sorted(tasks & ON_SCREEN)):
                results["ciou"].setdefault(group, []).append(entry["ciou"])
        if "Off-Screen" in tasks:
            entry |= {"off_screen_tn": int(np.sum(~found & ~truth)), "off_screen_fp": int(np.sum(found & ~truth))}
            results["tn"] += entry["off_screen_tn"]
            results["fp"] += entry["off_screen_fp"]
        results["frames"][name] = entry | {task: task in tasks for task in (*sorted(ON_SCREEN), "Off-Screen")}
    return results


LEVELS = ("0.1", "0.15", "0.2")


def auc(values: list[float]) -> float:
    """Area under the share of values of at least t, t = 0, 0.05 … 1, by trapezoids."""
    heights = [np.mean([value >= 0.05 * step for value in values]) for step in range(21)]
    return float(sum((heights[k] + heights[k + 1]) / 2 * 0.05 for k in range(20)))
