"""Ground truth of VGG-SS and the peers' own figures, from the folder `shared`."""

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.helpers.shared import shared_file

SIZE = 224


@cache
def boxes() -> dict[str, list[list[float]]]:
    """Boxes (fractions of the picture) of each VGG-SS file, in the order of the list."""
    entries = json.loads(shared_file("data", "vggss.json").read_text())
    return {entry["file"]: entry["bbox"] for entry in entries}


def masks(files: list[str]) -> Tensor:
    """(N, 224, 224) bool: union of the boxes, edges at int(clip(b, 0, 1)·224) as in EZ-VSL."""
    truth = torch.zeros(len(files), SIZE, SIZE, dtype=torch.bool)
    for mask, file in zip(truth, files, strict=True):
        for box in boxes()[file]:
            left, top, right, bottom = (np.clip(box, 0, 1) * SIZE).astype(int)
            mask[top:bottom, left:right] = True
    return truth


@cache
def expected() -> dict[str, Any]:
    """What the peers' evaluators gave on the made-up maps."""
    result: dict[str, Any] = json.loads(shared_file("golden", "public_expected.json").read_text())
    return result


@cache
def maps() -> Tensor:
    """(200, 7, 7) float32, the made-up maps of `expected`."""
    return torch.from_numpy(np.load(shared_file("golden", "public_maps.npz"))["maps"])
