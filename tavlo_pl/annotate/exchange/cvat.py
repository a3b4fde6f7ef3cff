"""CVAT for video 1.1: one XML file for each clip, with one track for each instance of a frame.

CVAT has no annotation without geometry in videos: off-screen sources are left out. Scenario, span and cue are
attributes of the shape, which CVAT keeps if the task's labels have them (they are in ``meta``); provenance is left out.
An instance of several polygons becomes a mask. Of imported tracks the visible keyframes are taken.
"""

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tavlo_pl.annotate.exchange.tree import Tree, make_tree
from tavlo_pl.annotate.frames import MOST_INSTANCES, FrameInstance, FrameRecord, has_geometry, mask_of
from tavlo_pl.data.annotations import RunLengths, box_of_mask
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.io.parsing import LARGEST_FILE_BYTES, brief, is_image_size, is_number
from tavlo_pl.types import CUES, TASKS, Scenario

LOST = ("off-screen sources", "provenance", "presentation times of frames")
"""What the format cannot hold."""

SHAPES = ("polygon", "mask", "box")

FREE_PIXELS, PIXELS_A_BYTE = 2**29, 1024
"""Pixels in the boxes of all masks of a file: so many, and so many for each byte of it. Masks of objects have 30 to 200
a byte."""

MOST_RUNS = 2**25
"""Of all masks of a file; a mask of 1920 x 1080 pixels has some thousand."""

LONGEST_RUNS = 2**22
"""Letters of the runs of a mask."""


def to_cvat(clip: str, frames: list[FrameRecord]) -> str:
    """The text of the XML file of a clip."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    shown = [(frame, each) for frame in frames for each in frame.annotations if has_geometry(each.instance)]
    _add_meta(root, clip, frames, sorted({each.instance.category for _, each in shown}))
    for number, (frame, each) in enumerate(shown):
        track = ElementTree.SubElement(root, "track", id=str(number), label=each.instance.category, source="manual")
        _add_shape(track, frame, each, frame.number, outside=False)
        _add_shape(track, frame, each, frame.number + 1, outside=True)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def read_cvat(path: Path) -> Tree:
    """Reads an XML file, or all of a folder; the clip is named by the file.

    Raises:
        DatasetNotFoundError: there is no XML file.
        AnnotationError: a file cannot be read.
    """
    paths = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not paths or not paths[0].is_file():
        raise DatasetNotFoundError(f"{path}: no such XML file, or folder of files <clip>.xml.")
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for each in paths:
        records |= {(each.stem, number): record for number, record in _records(each).items()}
    return make_tree(records, str(path))


def _add_meta(root: ElementTree.Element, clip: str, frames: list[FrameRecord], categories: list[str]) -> None:
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, text in (("name", clip), ("mode", "interpolation"), ("source", f"{clip}.mp4")):
        ElementTree.SubElement(task, name).text = text
    size = ElementTree.SubElement(task, "original_size")
    ElementTree.SubElement(size, "width").text = str(frames[0].width)
    ElementTree.SubElement(size, "height").text = str(frames[0].height)
    labels = ElementTree.SubElement(task, "labels")
    kinds = {
        "scenario": ("select", list(TASKS.values())),
        "cue": ("select", ["", *CUES]),
        "span_s": ("text", []),
        "instance": ("text", []),
    }
    for category in categories:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = category
        attributes = ElementTree.SubElement(label, "attributes")
        for name, (kind, values) in kinds.items():
            attribute = ElementTree.SubElement(attributes, "attribute")
            texts = (("name", name), ("mutable", "True"), ("input_type", kind), ("values", "\n".join(values)))
            for tag, text in texts:
                ElementTree.SubElement(attribute, tag).text = text


def _add_shape(track: ElementTree.Element, frame: FrameRecord, each: FrameInstance, number: int, outside: bool) -> None:
    instance = each.instance
    known = {"frame": str(number), "keyframe": "1", "outside": str(int(outside)), "occluded": "0", "z_order": "0"}
    if len(instance.polygons) == 1 and instance.rle is None:
        points = np.reshape(instance.polygons[0], (-1, 2)).tolist()
        text = ";".join(f"{x:.2f},{y:.2f}" for x, y in points)
        shape = ElementTree.SubElement(track, "polygon", known, points=text)
    elif instance.rle is None and not instance.polygons and instance.bbox is not None:
        left, top, width, height = instance.bbox
        edges = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
        shape = ElementTree.SubElement(track, "box", known | {name: f"{edge:.2f}" for name, edge in edges.items()})
    else:
        shape = ElementTree.SubElement(track, "mask", known | _mask_fields(mask_of(instance, frame)))
    span = "" if each.span_s is None else f"{each.span_s[0]:.4f} {each.span_s[1]:.4f}"
    texts = {"scenario": TASKS[instance.scenario], "cue": instance.cue or "", "span_s": span, "instance": each.id}
    for name, text in texts.items():
        ElementTree.SubElement(shape, "attribute", name=name).text = text


def _mask_fields(mask: np.ndarray) -> dict[str, str]:
    """CVAT's run lengths: of the rows of the bounding box, starting with 0."""
    left, top, width, height = box_of_mask(mask) if mask.any() else (0, 0, 1, 1)
    counts = RunLengths.of(mask[top : top + height, left : left + width].T).counts
    fields = {"left": left, "top": top, "width": width, "height": height}
    return {"rle": ", ".join(map(str, counts)), **{name: str(value) for name, value in fields.items()}}


def _records(path: Path) -> dict[int, dict[str, Any]]:
    content = read_bytes(path, LARGEST_FILE_BYTES, AnnotationError)
    try:
        root = ElementTree.fromstring(content)  # noqa: S314  # expat limits entity expansion
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: no XML file ({error}); export it again.") from error
    try:
        width, height = (int(root.findtext(f".//original_size/{side}") or "") for side in ("width", "height"))
    except ValueError:
        width = height = 0
    if not is_image_size(height, width):
        raise AnnotationError(f"{path}: meta has no original_size; export it as CVAT for video 1.1.")
    records: dict[int, dict[str, Any]] = {}
    budget = [FREE_PIXELS + PIXELS_A_BYTE * len(content), MOST_RUNS]
    for position, track in enumerate(root.iter("track")):
        for shape in track:
            where = f"{path}: track {position}"
            if shape.tag not in SHAPES:
                raise AnnotationError(f"{where}: a {shape.tag} is no {', '.join(SHAPES)}; convert it in CVAT.")
            if shape.get("outside") == "1" or shape.get("keyframe") == "0":
                continue
            number = _integer(shape, "frame", where)
            empty = {"original_width": width, "original_height": height, "annotations": []}
            listed = records.setdefault(number, empty)["annotations"]
            if len(listed) >= MOST_INSTANCES:
                raise AnnotationError(f"{where}: frame {number} has more than {MOST_INSTANCES:,} instances.")
            listed.append(_instance(shape, track.get("label"), (height, width), len(listed), budget, where))
    return records


def _instance(
    shape: ElementTree.Element,
    label: str | None,
    size: tuple[int, int],
    position: int,
    budget: list[int],
    where: str,
) -> dict[str, Any]:
    attributes = {each.get("name"): (each.text or "").strip() for each in shape.iter("attribute")}
    record: dict[str, Any] = {
        "task": attributes.get("scenario") or TASKS[Scenario.SINGLE_SOUND],
        "audio_visual_category": label,
        "id": attributes.get("instance") or f"v{position}",
        "provenance": {"by": "cvat"},
    }
    if attributes.get("cue"):
        record["cue"] = attributes["cue"]
    if span := attributes.get("span_s"):
        record["span_s"] = _numbers(span.split(), where)
    if shape.tag == "polygon":
        record["segmentation"] = [_numbers(shape.get("points", "").replace(";", ",").split(","), where)]
    elif shape.tag == "box":
        left, top, right, bottom = (_numbers([shape.get(name, "")], where)[0] for name in ("xtl", "ytl", "xbr", "ybr"))
        record["bbox"] = [left, top, right - left, bottom - top]
    else:
        record["segmentation"] = _mask(shape, size, budget, where)
    return record


def _mask(shape: ElementTree.Element, size: tuple[int, int], budget: list[int], where: str) -> dict[str, Any]:
    """The COCO mask of a CVAT mask; takes its pixels and runs from the budget."""
    left, top, width, height = (_integer(shape, name, where) for name in ("left", "top", "width", "height"))
    runs = shape.get("rle", "")
    if len(runs) > LONGEST_RUNS:
        raise AnnotationError(f"{where}: the runs of a mask have at most {LONGEST_RUNS:,} letters.")
    counts = [round(number) for number in _numbers(runs.split(","), where)]
    fits = min(left, top) >= 0 and min(width, height) > 0 and left + width <= size[1] and top + height <= size[0]
    if not fits or min(counts) < 0 or sum(counts) != width * height:
        raise AnnotationError(f"{where}: its mask does not fit its box, or its box the frame.")
    budget[0] -= width * height
    if budget[0] >= 0:
        part = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
        lengths = RunLengths.of_part(part, (left, top), size)
        budget[1] -= len(lengths.counts)
    if min(budget) < 0:
        raise AnnotationError(f"{where}: the masks of the file are larger than its size allows; split the file.")
    return {"size": [lengths.height, lengths.width], "counts": list(lengths.counts)}


def _integer(shape: ElementTree.Element, name: str, where: str) -> int:
    text = shape.get(name, "")
    if not text.isdecimal() or len(text) > 9:
        raise AnnotationError(f"{where}: {name} must be a whole number of at least 0, found {brief(text)}.")
    return int(text)


def _numbers(texts: list[str], where: str) -> list[float]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [math.nan]
    if not all(map(is_number, numbers)):
        raise AnnotationError(f"{where}: expected finite numbers, found {brief(texts)}.")
    return numbers
