"""Boxes of VGG-SS, and golden values of the image-level evaluators (``golden/ATTRIBUTION.md``)."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.helpers.shared import shared_file

SIZE = 224
GOLDEN = Path(__file__).parent / "golden"

Boxes = list[list[float]]
"""The boxes of one file: (left, top, right, bottom) as fractions of the image."""


@cache
def golden_boxes() -> dict[str, Boxes]:
    """Boxes of the 200 VGG-SS files of `expected`, in its order; under version control."""
    return _boxes(GOLDEN / "boxes.json")


@cache
def all_boxes() -> dict[str, Boxes]:
    """Boxes of all 5,158 VGG-SS files, in the order of the list; skips the test where the list is missing."""
    return _boxes(shared_file("data", "vggss.json"))


def _boxes(path: Path) -> dict[str, Boxes]:
    return {entry["file"]: entry["bbox"] for entry in json.loads(path.read_text(encoding="utf-8"))}


def masks(boxes: Iterable[Boxes]) -> Tensor:
    """(N, 224, 224) bool: union of the boxes of each file, edges at int(clip(b, 0, 1)·224) as in EZ-VSL."""
    found = []
    for one in boxes:
        mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        for box in one:
            left, top, right, bottom = (np.clip(box, 0, 1) * SIZE).astype(int)
            mask[top:bottom, left:right] = True
        found.append(mask)
    return torch.stack(found)


@cache
def expected() -> dict[str, Any]:
    """What the authors' evaluators return for `maps` and `golden_boxes`."""
    result: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    return result


@cache
def maps() -> Tensor:
    """(200, 7, 7) float32, the synthetic maps of `expected`."""
    rows = json.loads((GOLDEN / "maps.json").read_text(encoding="utf-8"))
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 7, 7)
