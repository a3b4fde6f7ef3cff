"""COCO instances with video ids: ``videos``, ``images`` (frames), ``annotations`` and ``categories``.

Scenario, span and provenance are in ``attributes`` of an annotation. Off-screen sources without geometry are no COCO
annotations; they are listed in ``off_screen`` of their image. Rejected proposals are left out.
"""

from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from tavlo_pl.annotate.exchange.tree import Tree, make_tree
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, has_geometry, instance_to_json, mask_of
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.parsing import brief, read_json
from tavlo_pl.types import TASKS, Scenario

LOST: tuple[str, ...] = ()
"""What the format cannot hold."""


def to_coco(tree: Tree) -> dict[str, Any]:
    """The value of the JSON file."""
    names = sorted({each.instance.category for frames in tree.values() for f in frames for each in f.annotations})
    categories = {name: number for number, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video, (clip, frames) in enumerate(tree.items(), 1):
        for frame in frames:
            image = _image(frame, clip, video, len(images) + 1)
            images.append(image)
            for each in frame.annotations:
                if has_geometry(each.instance):
                    known = {"id": len(annotations) + 1, "image_id": image["id"], "video_id": video}
                    annotations.append(known | _annotation(each, frame, categories))
                else:
                    image["off_screen"].append({"category_id": categories[each.instance.category], **_attributes(each)})
    return {
        "info": {"description": "annotations of sounding sources, written by tavlo annotate export"},
        "videos": [{"id": number, "name": clip, "file_name": f"{clip}.mp4"} for number, clip in enumerate(tree, 1)],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def read_coco(path: Path) -> Tree:
    """Reads a file of `to_coco`, or of another tool.

    An image is a frame by ``video_id`` and ``frame_id``; without them by its ``file_name``, ``<clip>/<frame>.jpg``.

    Raises:
        AnnotationError: the file cannot be read, or an image names no frame.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: no COCO file; it must be an object, found {brief(content)}.")
    videos = {video.get("id"): video.get("name") for video in _objects(content, "videos", path, required=False)}
    categories = {each.get("id"): each.get("name") for each in _objects(content, "categories", path)}
    frames: dict[Any, tuple[str, int]] = {}
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for image in _objects(content, "images", path):
        key = _frame_of(image, videos, path)
        if key in records:
            raise AnnotationError(f"{path}: two images are frame {key[1]} of clip {brief(key[0])}; keep one of them.")
        frames[_id(image.get("id"), path)] = key
        record: dict[str, Any] = {"time_s": image.get("time_s"), "annotations": []}
        records[key] = record | {f"original_{side}": image.get(side) for side in ("width", "height")}
        off_screen = image.get("off_screen", [])
        if not isinstance(off_screen, list) or not all(isinstance(each, dict) for each in off_screen):
            raise AnnotationError(f"{path}: off_screen of an image must be a list of objects.")
        for each in off_screen:
            records[key]["annotations"].append(_record(each, each, categories, path))
    for annotation in _objects(content, "annotations", path):
        image_id = _id(annotation.get("image_id"), path)
        if image_id not in frames:
            raise AnnotationError(f"{path}: an annotation names image {brief(image_id)}, which is not in images.")
        attributes = annotation.get("attributes", {})
        if not isinstance(attributes, dict):
            raise AnnotationError(f"{path}: attributes must be an object, found {brief(attributes)}.")
        records[frames[image_id]]["annotations"].append(_record(annotation, attributes, categories, path))
    _number(records)
    return make_tree({key: record for key, record in records.items() if record["annotations"]}, str(path))


def _image(frame: FrameRecord, clip: str, video: int, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "video_id": video,
        "frame_id": frame.number,
        "file_name": f"{clip}/{frame.name}.jpg",
        "width": frame.width,
        "height": frame.height,
        "time_s": frame.time_s,
        "off_screen": [],
    }


def _annotation(each: FrameInstance, frame: FrameRecord, categories: dict[str, int]) -> dict[str, Any]:
    fields = instance_to_json(each.instance)
    return {
        "category_id": categories[each.instance.category],
        "segmentation": fields.get("segmentation", []),
        "bbox": fields.get("bbox", []),
        "area": int(mask_of(each.instance, frame).sum()),
        "iscrowd": int(each.instance.rle is not None),
        "attributes": _attributes(each),
    }


def _attributes(each: FrameInstance) -> dict[str, Any]:
    cue = {} if each.instance.cue is None else {"cue": each.instance.cue}
    return {
        "scenario": TASKS[each.instance.scenario],
        "instance_id": each.id,
        "span_s": each.span_s and list(each.span_s),
        "provenance": asdict(each.provenance),
        **cue,
    }


def _record(
    geometry: dict[str, Any], attributes: dict[str, Any], categories: dict[Any, Any], path: Path
) -> dict[str, Any]:
    """AVATAR's fields of a COCO annotation."""
    category = geometry.get("category_id")
    if type(category) is not int or category not in categories:
        raise AnnotationError(f"{path}: category_id {brief(category)} is not in categories.")
    named = {name: attributes[name] for name in ("span_s", "cue", "provenance") if attributes.get(name) is not None}
    return {
        "task": attributes.get("scenario", TASKS[Scenario.SINGLE_SOUND]),
        "audio_visual_category": categories[category],
        "segmentation": geometry.get("segmentation") or [],
        "bbox": geometry.get("bbox") or [],
        "id": attributes.get("instance_id"),
        "provenance": {"by": "coco"},
        **named,
    }


def _number(records: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Gives an id to the instances of other tools, which have none."""
    for record in records.values():
        for number, each in enumerate(record["annotations"]):
            if each["id"] is None:
                each["id"] = f"c{number}"


def _frame_of(image: dict[str, Any], videos: dict[Any, Any], path: Path) -> tuple[str, int]:
    video, number = image.get("video_id"), image.get("frame_id")
    name = videos.get(video) if isinstance(video, int | str) else None
    if isinstance(name, str) and type(number) is int:
        return name, number
    file = PurePosixPath(str(image.get("file_name", "")))
    if len(file.parts) < 2 or not file.stem.isdecimal() or len(file.stem) > 9:
        raise AnnotationError(
            f"{path}: an image needs video_id and frame_id, or a file_name <clip>/<frame>.jpg, found {brief(image)}."
        )
    return file.parts[-2], int(file.stem)


def _id(value: Any, path: Path) -> int | str:
    if not isinstance(value, int | str):
        raise AnnotationError(f"{path}: an id of an image must be a number or a text, found {brief(value)}.")
    return value


def _objects(content: dict[str, Any], name: str, path: Path, required: bool = True) -> list[dict[str, Any]]:
    found = content.get(name, None if required else [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise AnnotationError(f"{path}: no COCO file; {name} must be a list of objects.")
    if any(not isinstance(each.get("id"), int | str) for each in found if name in ("videos", "categories")):
        raise AnnotationError(f"{path}: {name} must have ids that are numbers or texts.")
    return found
