"""Shared functions of the readers of JSON lists: entries with their position, and checks of fields."""

import os
from pathlib import Path
from typing import Any

from tavlo_pl.data.annotations import Instance, read_mask
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.parsing import brief, is_number, read_json
from tavlo_pl.types import Scenario

CANVAS_PIXELS = 224
"""The boxes of IS3 and AVSBench are in pixels of images that were resized to 224 x 224."""

OUTSIDE = (
    f"boxes are [x0, y0, x1, y1] in pixels of images that were resized to {CANVAS_PIXELS} x {CANVAS_PIXELS}, and these "
    "look like pixels of the original images, or like [left, top, width, height]"
)
"""Likely cause of boxes outside of the image."""

MASK_FIELDS = ("gt_box", "gt_mask", "mask")
"""Fields of the ground truth in the published lists: a box or the path of a mask."""


def read_list(path: Path, what: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a JSON list, each with a name for messages: ``<file>: entry 3``.

    Args:
        path: of the file.
        what: description of the expected list.

    Raises:
        DatasetNotFoundError: the file does not exist, or the list is empty.
        AnnotationError: the file is not a list of objects.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file; expected a JSON list of {what}.")
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise AnnotationError(f"{path}: must be a list of {what}, found {brief(entries)}.")
    if not entries:
        raise DatasetNotFoundError(f"{path}: the list is empty; expected {what}.")
    return [(f"{path}: entry {number}", entry) for number, entry in enumerate(entries)]


def text_of(entry: dict[str, Any], field: str, where: str) -> str:
    """Returns a field that must be a non-empty string.

    Raises:
        AnnotationError: it is none.
    """
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise AnnotationError(
            f"{where}.{field} must be a name, found {brief(value)}; known fields: {', '.join(entry)}."
        )
    return value


def box_of(value: Any, where: str, ordered: bool = True) -> tuple[float, float, float, float]:
    """A box (x0, y0, x1, y1).

    Raises:
        AnnotationError: it is not a box, or its edges are in the wrong order.
    """
    if isinstance(value, list) and len(value) == 4 and all(is_number(edge) for edge in value):
        x0, y0, x1, y1 = (float(edge) for edge in value)
        if not ordered or (x0 <= x1 and y0 <= y1):
            return x0, y0, x1, y1
    raise AnnotationError(f"{where} must be a box [x0, y0, x1, y1] with x0 <= x1 and y0 <= y1, found {brief(value)}.")


def image_instances(entry: dict[str, Any], category: str, where: str, folder: Path) -> tuple[Instance, ...]:
    """The sources of an entry ``{image, audio, gt_box | gt_mask | mask}``.

    A box of zeros or an empty mask means that no visible source sounds, as in silent frames of AVSBench-MS3.

    Args:
        entry: with one box, a list of boxes, or the path of a mask.
        category: category of the source.
        where: for messages.
        folder: folder with the masks, at any depth; the lists have paths of their authors' machines.

    Raises:
        AnnotationError: the ground truth is missing or cannot be read.
    """
    field = next((name for name in MASK_FIELDS if name in entry), None)
    if field is None:
        raise AnnotationError(f"{where} has no ground truth: one of {', '.join(MASK_FIELDS)} must be there.")
    truth = entry[field]
    if isinstance(truth, str):
        path = _below(folder, truth, f"{where}.{field}")
        sources = [Instance(category, Scenario.SINGLE_SOUND, mask_file=path)] if read_mask(path).any() else []
    else:
        boxes = truth if isinstance(truth, list) and truth and isinstance(truth[0], list) else [truth]
        places = [f"{where}.{field}[{n}]" if boxes is truth else f"{where}.{field}" for n in range(len(boxes))]
        checked = [box_of(box, place) for box, place in zip(boxes, places, strict=True)]
        sources = [Instance(category, Scenario.SINGLE_SOUND, box=box) for box in checked if any(box)]
    return tuple(sources) or (Instance(category, Scenario.OFF_SCREEN),)


def _below(folder: Path, name: str, where: str) -> Path:
    """The file below the folder that matches the end of a path of the list; never one outside of the folder."""
    parts = [part for part in Path(name).parts if part != ".." and part.strip("/")]
    candidates = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    path = next((path for path in candidates if os.path.isfile(path)), None)  # names that are too long raise an OSError
    if path is None:
        raise AnnotationError(
            f"{where}: no mask {name} nor any end of that path below {folder}; put list and masks together."
        )
    return path
