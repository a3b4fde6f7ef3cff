"""Label Studio JSON, export only: one task for each frame, with polygons, boxes and choices in percent of the frame.

Each outer outline of a mask is one polygon; holes are filled. The scenario of a region is a choice with the id of the
region, that of an off-screen source a choice of the task.
"""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tavlo_pl.annotate.exchange.outlines import outlines
from tavlo_pl.annotate.exchange.tree import Tree, annotated
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, has_geometry, mask_of
from tavlo_pl.data.annotations import Instance
from tavlo_pl.types import TASKS

LOST = ("holes of masks", "provenance", "cues")
"""What the format cannot hold."""


def to_config(tree: Tree) -> str:
    """The labelling configuration that the tasks need, with the categories of a tree."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    found = [each.instance for _, _, each in annotated(tree)]
    labels = sorted({instance.category for instance in found})
    hidden = sorted({_hidden(instance) for instance in found if not has_geometry(instance)})
    controls: tuple[tuple[str, str, dict[str, str], str, Sequence[str]], ...] = (
        ("PolygonLabels", "label", {}, "Label", labels),
        ("RectangleLabels", "box", {}, "Label", labels),
        ("Choices", "scenario", {"perRegion": "true"}, "Choice", list(TASKS.values())),
        ("Choices", "off_screen", {"choice": "multiple"}, "Choice", hidden),
        ("TextArea", "span_s", {"perRegion": "true"}, "", []),
    )
    for tag, name, more, part, values in controls:
        control = ElementTree.SubElement(view, tag, {"name": name, "toName": "image"} | more)
        for value in values:
            ElementTree.SubElement(control, part, value=value)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _hidden(instance: Instance) -> str:
    """The choice of a source that is not visible."""
    return f"{instance.category}: {TASKS[instance.scenario]}"


def to_label_studio(tree: Tree) -> list[dict[str, Any]]:
    """The value of the JSON file: tasks whose image is ``<clip>/<frame>.jpg`` of the project's folder ``frames``."""
    return [
        {
            "data": {
                "image": f"{clip}/{frame.name}.jpg",
                "clip": clip,
                "frame": frame.number,
                "time_s": frame.time_s,
            },
            "annotations": [{"result": [part for each in frame.annotations for part in _results(each, frame)]}],
        }
        for clip, frames in tree.items()
        for frame in frames
    ]


def _results(each: FrameInstance, frame: FrameRecord) -> list[dict[str, Any]]:
    instance = each.instance
    size = {"original_width": frame.width, "original_height": frame.height, "to_name": "image"}
    scale = np.array([100 / frame.width, 100 / frame.height])
    found: list[dict[str, Any]] = []
    value: dict[str, Any]
    if not has_geometry(instance):
        hidden = {"choices": [_hidden(instance)]}
        return [{"id": each.id, "type": "choices", "from_name": "off_screen", "value": hidden, **size}]
    if instance.rle is None and instance.bbox is not None and not instance.polygons:
        left, top, width, height = np.array(instance.bbox) * np.concatenate([scale, scale])
        value = {"x": left, "y": top, "width": width, "height": height, "rotation": 0}
        named = {"rectanglelabels": [instance.category]}
        found.append({"id": each.id, "type": "rectanglelabels", "from_name": "box", "value": value | named, **size})
    polygons = [np.reshape(polygon, (-1, 2)) for polygon in instance.polygons]
    if instance.rle is not None:
        polygons = [np.array(points, float) for points in outlines(mask_of(instance, frame))[0]]
    for number, points in enumerate(polygons):
        name = each.id if len(polygons) == 1 else f"{each.id}.{number}"
        value = {"points": (points * scale).tolist(), "polygonlabels": [instance.category], "closed": True}
        found.append({"id": name, "type": "polygonlabels", "from_name": "label", "value": value, **size})
    for region in list(found):
        scenario = {"choices": [TASKS[instance.scenario]]}
        found.append({"id": region["id"], "type": "choices", "from_name": "scenario", "value": scenario, **size})
        if each.span_s is not None:
            span = {"text": [f"{each.span_s[0]:.3f} {each.span_s[1]:.3f}"]}
            found.append({"id": region["id"], "type": "textarea", "from_name": "span_s", "value": span, **size})
    return found
