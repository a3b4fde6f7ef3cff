"""Saved heatmaps and annotations of every data set, and ``tavlo score`` of them in this process."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.cli import Outcome, tavlo
from tests.helpers.trees import instance, write_annotation

SIZE = 24
FRAME_RATE = 25

DOG = [4.0, 4.0, 60.0, 8.0, 50.0, 50.0, 9.0, 40.0]
CAT = [[50.0, 10.0, 90.0, 12.0, 80.0, 60.0], [2.0, 50.0, 20.0, 50.0, 20.0, 62.0, 2.0, 62.0]]
TREE: dict[str, dict[str, list[dict[str, Any]]]] = {
    "l_7B1wnTNtA_00020": {
        "00010": [instance(segmentation=[DOG])],
        "00035": [instance("Mixed-sound", segmentation=[DOG]), instance("Mixed-sound", "cat", segmentation=CAT)],
    },
    "-abc-_defgh_00007": {
        "00000": [instance("Multi-entity", segmentation=[DOG]), instance("Off-Screen", "bird", segmentation=None)],
        "00025": [instance("Off-Screen", "bird", segmentation=None)],
        "00050": [instance("off screen", "bird", segmentation=None)],
    },
    "zzz__zzz-zz_00100": {"00049": [instance(segmentation=CAT)]},
}
TIMES_S = np.array([0.1, 0.9, 1.6])


def run(folder: Path, dataset: str, annotations: Path, *options: object) -> tuple[Outcome, dict[str, Any], list[Any]]:
    """Runs the command; returns its outcome, ``results.json`` and the lines of ``per_sample.csv``."""
    out = folder / "out" / "results.json"
    words = ["--dataset", dataset, "--annotations", annotations, "--predictions", folder / "maps", "--out", out]
    words += ["--overwrite", "true"]
    outcome = tavlo("score", *words, *options)
    if outcome.code:
        return outcome, {}, []
    with (out.parent / "per_sample.csv").open(newline="", encoding="utf-8") as lines:
        return outcome, json.loads(out.read_text()), list(csv.DictReader(lines))


def save(folder: Path, name: str, **arrays: Any) -> None:
    """Writes the arrays of a file of predictions."""
    path = folder / "maps" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_vggss(folder: Path, boxes: dict[str, list[list[float]]]) -> Path:
    """A list in the format of VGG-SS."""
    path = folder / "vggss.json"
    path.write_text(json.dumps([{"file": file, "class": "dog", "bbox": found} for file, found in boxes.items()]))
    return path


def write_tree(folder: Path) -> dict[str, np.ndarray]:
    """AVATAR's layout without videos, and three maps a clip."""
    rng = np.random.default_rng(0)
    maps = {}
    for clip, frames in TREE.items():
        for frame, instances in frames.items():
            write_annotation(folder, clip, frame, instances)
        maps[clip] = rng.uniform(-1, 1, (3, 4, 5)).astype(np.float32)
        save(folder, clip, heatmap=maps[clip], frame_time_s=TIMES_S)
    return maps
