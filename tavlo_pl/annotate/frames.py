"""An annotated frame with the state of each instance, and its JSON: AVATAR's fields and what a project adds to them.

::

    {"original_width": 640, "original_height": 360, "time_s": 2.4,
     "annotations": [...],                                  AVATAR's field: accepted instances of a finished frame
     "tavlo": {"format": 1, "status": "done", "instances": [...]}}     all instances, rejected ones too

An instance has AVATAR's fields (``task``, ``audio_visual_category``, ``segmentation``, ``bbox``) and ``id``,
``status``, ``span_s`` (when its source sounds) and ``provenance``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tavlo_pl.annotate.activity import Span
from tavlo_pl.data.annotations import AnnotatedFrame, Instance, RunLengths, box_of_mask
from tavlo_pl.data.datasets.avatar import parse_instance
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.parsing import LARGEST_FRAME_BYTES, brief, is_image_size, is_number, read_json
from tavlo_pl.types import TASKS

FORMAT = 1
"""Version of the JSON files; files of a later one are refused."""

PERSON = "person"
"""The proposer of an instance that a person drew."""

LONGEST_NAME = 200
MOST_INSTANCES = 1_000

InstanceStatus = Literal["proposed", "accepted", "rejected"]
FrameStatus = Literal["open", "done", "cannot_tell"]


@dataclass(frozen=True)
class Provenance:
    """Where an instance comes from.

    Attributes:
        by: the proposer: a detector's name, ``heatmap``, ``flow``, ``person`` or an imported format.
        score: of the proposer in [0, 1], if it has one.
        edited: whether a person changed the geometry of the proposal.
        confirmed_by: who accepted or rejected it.
        confirmed_at: when, ISO 8601 in UTC.
    """

    by: str
    score: float | None = None
    edited: bool = False
    confirmed_by: str | None = None
    confirmed_at: str | None = None


@dataclass(frozen=True)
class FrameInstance:
    """A proposed or decided source of a frame.

    Attributes:
        id: unique in its frame.
        instance: category, scenario and geometry.
        status: ``accepted`` ones of finished frames are annotations.
        provenance: where it comes from.
        span_s: when its source sounds, in seconds on the clip's clock.
    """

    id: str
    instance: Instance
    status: InstanceStatus
    provenance: Provenance
    span_s: Span | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **instance_to_json(self.instance),
            "id": self.id,
            "status": self.status,
            "span_s": self.span_s and [round(edge, 4) for edge in self.span_s],
            "provenance": asdict(self.provenance),
        }


@dataclass(frozen=True)
class FrameRecord:
    """A frame with all its instances.

    Attributes:
        number: position in presentation order, from 0.
        time_s: presentation time; None if unknown.
        width: of the frame in pixels.
        height: of the frame in pixels.
        status: ``open`` until a person finishes it; ``cannot_tell`` frames have no annotations.
        instances: all of them.
    """

    number: int
    time_s: float | None
    width: int
    height: int
    status: FrameStatus = "open"
    instances: tuple[FrameInstance, ...] = ()

    @property
    def name(self) -> str:
        """As in the file name, ``00254``."""
        return f"{self.number:05d}"

    @property
    def annotations(self) -> tuple[FrameInstance, ...]:
        """The accepted instances of a finished frame."""
        return tuple(each for each in self.instances if each.status == "accepted") if self.status == "done" else ()

    @property
    def annotated(self) -> AnnotatedFrame:
        """The frame as data sets contain it."""
        instances = tuple(each.instance for each in self.annotations)
        return AnnotatedFrame(self.number, self.name, self.width, self.height, instances, time_s=self.time_s)

    def to_json(self) -> dict[str, Any]:
        """Plain values of the file."""
        return {
            "original_width": self.width,
            "original_height": self.height,
            "time_s": self.time_s,
            "annotations": [each.to_json() for each in self.annotations],
            "tavlo": {
                "format": FORMAT,
                "status": self.status,
                "instances": [each.to_json() for each in self.instances],
            },
        }


def instance_to_json(instance: Instance) -> dict[str, Any]:
    """AVATAR's fields of an instance; ``bbox`` is added to a mask that has none."""
    found: dict[str, Any] = {"task": TASKS[instance.scenario], "audio_visual_category": instance.category}
    if instance.cue is not None:
        found["cue"] = instance.cue
    if instance.rle is not None:
        found["segmentation"] = {"size": [instance.rle.height, instance.rle.width], "counts": list(instance.rle.counts)}
    elif instance.polygons:
        found["segmentation"] = [[round(number, 3) for number in polygon] for polygon in instance.polygons]
    box = instance.bbox or _box_of(instance)
    if box is not None:
        found["bbox"] = [round(float(number), 3) for number in box]
    return found


def _box_of(instance: Instance) -> tuple[float, float, float, float] | None:
    if instance.rle is not None:
        return instance.rle.box
    if instance.polygons:
        points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in instance.polygons])
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None
    return None


def with_mask(instance: Instance, mask: np.ndarray) -> Instance:
    """The instance with an (H, W) mask, which must not be empty, as its geometry."""
    return replace(instance, polygons=(), bbox=box_of_mask(mask), rle=RunLengths.of(mask))


def has_geometry(instance: Instance) -> bool:
    """Whether an instance has a mask, polygons or a box; sources that are not visible have none."""
    return bool(instance.polygons) or instance.rle is not None or instance.bbox is not None


def mask_of(instance: Instance, frame: FrameRecord) -> np.ndarray:
    """(H, W) mask of an instance in pixels of the frame; empty without geometry."""
    if not has_geometry(instance):
        return np.zeros((frame.height, frame.width), bool)
    return instance.raster((frame.height, frame.width), (1.0, 1.0))


def read_frame(path: Path) -> FrameRecord:
    """Reads the file of a frame, one of a project or one of AVATAR.

    Raises:
        AnnotationError: the file cannot be read; the message has file, field and what is allowed.
    """
    if not path.stem.isdecimal():
        raise AnnotationError(f"{path}: the name of an annotation must be a frame number, as in 00254.json.")
    return parse_frame(read_json(path, LARGEST_FRAME_BYTES), int(path.stem), str(path))


def parse_frame(record: Any, number: int, where: str) -> FrameRecord:
    """Checks and converts the value of a file.

    Args:
        record: the JSON value.
        number: of the frame.
        where: the file, for messages.

    Raises:
        AnnotationError: a field is missing or invalid.
    """
    if not isinstance(record, dict):
        raise AnnotationError(f"{where}: must be an object with original_width, original_height, annotations.")
    width, height = record.get("original_width"), record.get("original_height")
    if type(width) is not int or type(height) is not int or not is_image_size(height, width):
        found = brief([width, height])
        raise AnnotationError(f"{where}: original_width and original_height must be pixels, found {found}.")
    time_s = record.get("time_s")
    if time_s is not None and not is_number(time_s):
        raise AnnotationError(f"{where}: time_s must be seconds, found {brief(time_s)}.")
    state = record.get("tavlo", {"status": "done", "instances": record.get("annotations")})
    if not isinstance(state, dict) or state.get("format", FORMAT) != FORMAT:
        raise AnnotationError(f"{where}: tavlo must be an object of format {FORMAT}; use the version that wrote it.")
    status: Any = state.get("status")
    listed = state.get("instances")
    if status not in get_args(FrameStatus):
        raise AnnotationError(f"{where}: status must be one of {_names(FrameStatus)}, found {brief(status)}.")
    if not isinstance(listed, list) or len(listed) > MOST_INSTANCES:
        raise AnnotationError(f"{where}: the instances must be a list of at most {MOST_INSTANCES:,}.")
    instances = tuple(_parse(each, n, (width, height), f"{where}: instances[{n}]") for n, each in enumerate(listed))
    if len({each.id for each in instances}) < len(instances):
        raise AnnotationError(f"{where}: two instances have the same id; each needs its own.")
    return FrameRecord(number, None if time_s is None else float(time_s), width, height, status, instances)


def _parse(record: Any, position: int, size: tuple[int, int], where: str) -> FrameInstance:
    instance = parse_instance(record, where)
    if len(instance.category) > LONGEST_NAME or not instance.category.strip():
        raise AnnotationError(f"{where}: a category is a name of at most {LONGEST_NAME} characters.")
    if instance.rle is not None and (instance.rle.width, instance.rle.height) != size:
        raise AnnotationError(f"{where}: its mask has another size than the frame, {size[0]} x {size[1]}.")
    status = record.get("status", "accepted")
    if status not in get_args(InstanceStatus):
        raise AnnotationError(f"{where}: status must be one of {_names(InstanceStatus)}, found {brief(status)}.")
    name = record.get("id", f"a{position}")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise AnnotationError(f"{where}: id must be a text of at most {LONGEST_NAME} characters, found {brief(name)}.")
    return FrameInstance(name, instance, status, _provenance(record.get("provenance"), where), _span(record, where))


def _span(record: Mapping[str, Any], where: str) -> Span | None:
    span = record.get("span_s")
    if span is None:
        return None
    if not (isinstance(span, list) and len(span) == 2 and all(map(is_number, span)) and 0 <= span[0] < span[1]):
        raise AnnotationError(
            f"{where}: span_s must be [start, end] in seconds, start before end, found {brief(span)}."
        )
    return float(span[0]), float(span[1])


def _provenance(record: Any, where: str) -> Provenance:
    if record is None:
        return Provenance("unknown")
    fields = {"by", "score", "edited", "confirmed_by", "confirmed_at"}
    if not isinstance(record, dict) or not record.keys() <= fields:
        raise AnnotationError(f"{where}: provenance must be an object with {', '.join(sorted(fields))}.")
    texts = [record.get(name) for name in ("by", "confirmed_by", "confirmed_at")]
    score, edited = record.get("score"), record.get("edited", False)
    if not (
        isinstance(texts[0], str)
        and all(text is None or (isinstance(text, str) and len(text) <= LONGEST_NAME) for text in texts)
        and (score is None or is_number(score))
        and isinstance(edited, bool)
    ):
        raise AnnotationError(f"{where}: provenance has a field of another type, found {brief(record)}.")
    return Provenance(texts[0], None if score is None else float(score), edited, texts[1], texts[2])


def _names(kinds: Any) -> str:
    return ", ".join(get_args(kinds))
