"""AVATAR (arXiv 2507.04667): 5,000 ten-second clips with masks of the sounding sources by frame.

::

    <root>/video/<clip>.mp4             some copies unpack to video/video/
    <root>/metadata/<clip>/<frame>.json

``<clip>`` is an 11-character YouTube id, ``_`` and the start second in five digits; ``<frame>`` is a
five-digit frame number. A JSON file holds ``original_width``, ``original_height`` and ``annotations``:
instances with ``task`` (the scenario), ``segmentation``, ``bbox`` and ``audio_visual_category``. The procedural
world adds ``cue``, what identifies the source (`types.Cue`).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tavlo_pl.data.annotation_units import check_units, placed_boxes
from tavlo_pl.data.annotations import AnnotatedFrame, Instance, RunLengths
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.clip_ids import MOST_DIGITS, clip_key, is_listed, read_ids
from tavlo_pl.data.video_files import report_missing, video_files
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.parsing import LARGEST_FRAME_BYTES, are_sizes, brief, is_image_size, is_number, is_unicode, read_json
from tavlo_pl.types import CUES, SCENARIOS, Cue, Scenario

OUTSIDE = (
    "polygons and boxes are in pixels of original_width x original_height, boxes as [left, top, width, height]: either "
    "those sizes are of another version of the images, or the boxes are [x0, y0, x1, y1]"
)
"""Likely cause of boxes outside of the image."""

MOST_POINTS = 100_000
"""Maximum number of points of a polygon; more than the outline of an 8K image in single pixels."""

LONGEST_RUN_BITS = 40
"""Maximum number of bits of a run length; longer ones are truncated and rejected by the check of the sum."""


class AVATAR(ClipSource):
    """Reads AVATAR and data sets in its layout.

    Args:
        root: folder with ``video`` and ``metadata``.
        frame_base: number of a video's first frame in the file names, 0 or 1; no public file states it.
        cross_event_list: text file with the ids of the cross-event clips. Without it a clip is cross-event if the set
            of on-screen sounding categories differs between its annotated frames; frames whose source is off-screen are
            ignored.
        videos: whether clips without video are skipped; scoring saved heatmaps needs no videos.
        ids: text file of the clips to take (``<id>_<start>`` or the id alone, one per line).

    Raises:
        DatasetNotFoundError: a folder is missing, or no clip has both video and annotations.
        AnnotationError: an annotation cannot be read; the message has file, field and allowed values.
    """

    protocol: ClassVar[str] = "avatar"

    def __init__(
        self,
        root: str,
        frame_base: int = 0,
        cross_event_list: str | None = None,
        videos: bool = True,
        ids: str | None = None,
    ) -> None:
        self.root = Path(root)
        self.frame_base = frame_base
        self.cross_event_list = cross_event_list
        self.videos = videos
        self.ids = Path(ids) if ids is not None else None

    def clips(self) -> list[Clip]:
        """All annotated clips with video, sorted by id."""
        folder = _folder(self.root, "video") if self.videos else find_part(self.root, "video") or self.root / "video"
        videos = {path.stem: path for path in reversed(video_files(folder))} if folder.is_dir() else {}
        folders = self._annotated()
        listed = read_ids(Path(self.cross_event_list)) if self.cross_event_list is not None else None
        clips, missing = [], []
        for metadata in folders:
            if self.videos and metadata.name not in videos:
                missing.append(metadata.name)
                continue
            frames = self._frames(metadata)
            crosses = _changes(frames) if listed is None else is_listed(clip_key(metadata.name), listed)
            path = videos.get(metadata.name, folder / f"{metadata.name}.mp4")
            clips.append(Clip(metadata.name, path, annotations=frames, cross_event=crosses))
        boxes = (box for clip in clips for box in placed_boxes(clip.sample_id, clip.annotations))
        check_units(boxes, self.root, OUTSIDE)
        report_missing("AVATAR", missing, len(folders), "video")
        if not clips:
            raise DatasetNotFoundError(
                f"{self.root}: no clip has "
                f"{'both video/<clip>.mp4 and ' if self.videos else ''}metadata/<clip>/<frame>.json; "
                f"found {len(videos)} videos and {len(folders)} annotated clips."
            )
        return clips

    def sample_ids(self) -> list[str]:
        """Ids of all annotated clips, with or without video; reads no annotation."""
        return [folder.name for folder in self._annotated()]

    def _annotated(self) -> list[Path]:
        found = sorted(path for path in _folder(self.root, "metadata").iterdir() if path.is_dir())
        if odd := next((path for path in found if not is_unicode(path.name)), None):
            raise AnnotationError(f"{odd}: the name of the folder is no text in UTF-8; rename it.")
        if self.ids is None:
            return found
        ids = read_ids(self.ids)
        listed = [path for path in found if is_listed(clip_key(path.name), ids)]
        if not listed:
            raise DatasetNotFoundError(
                f"{self.ids}: none of the {len(found)} annotated clips of {self.root} is listed."
            )
        return listed

    def _frames(self, folder: Path) -> tuple[AnnotatedFrame, ...]:
        paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
        frames = (self._frame(path) for path in paths)
        return tuple(sorted((frame for frame in frames if frame.instances), key=lambda frame: int(frame.name)))

    def _frame(self, path: Path) -> AnnotatedFrame:
        if not path.stem.isdecimal() or len(path.stem) > MOST_DIGITS:
            raise AnnotationError(f"{path}: the name of an annotation must be a frame number, as in 00254.json.")
        number = int(path.stem) - self.frame_base
        if number < 0:
            raise AnnotationError(f"{path}: frame {path.stem} is before frame_base {self.frame_base}; set it to 0.")
        record = read_json(path, LARGEST_FRAME_BYTES)
        if not isinstance(record, dict):
            raise AnnotationError(f"{path}: must be an object with original_width, original_height, annotations.")
        width, height = (_pixels(record, field, path) for field in ("original_width", "original_height"))
        if not is_image_size(height, width):
            raise AnnotationError(f"{path}: no image has {brief(width)} x {brief(height)} pixels.")
        annotations = record.get("annotations")
        if not isinstance(annotations, list):
            raise AnnotationError(f"{path}: annotations must be a list, found {brief(annotations)}.")
        instances = tuple(parse_instance(item, f"{path}: annotations[{n}]") for n, item in enumerate(annotations))
        for n, instance in enumerate(instances):
            if instance.rle is not None:
                _check_shape(instance.rle, (height, width), f"{path}: annotations[{n}].segmentation")
        return AnnotatedFrame(number, path.stem, width, height, instances)


def find_part(root: Path, name: str) -> Path | None:
    """The folder ``video`` or ``metadata`` below AVATAR's root, also as ``video/video``; None if there is none."""
    return next((path for path in (root / name / name, root / name) if path.is_dir()), None)


def _folder(root: Path, name: str) -> Path:
    folder = find_part(root, name)
    if folder is None:
        raise DatasetNotFoundError(
            f"{root}: no folder {name!r} there; expected AVATAR's video/<clip>.mp4 and "
            f"metadata/<clip>/<frame>.json (unpack video.zip and metadata.zip into it)."
        )
    return folder


def _changes(frames: Sequence[AnnotatedFrame]) -> bool:
    sets = {frozenset(i.category for i in frame.instances if i.scenario is not Scenario.OFF_SCREEN) for frame in frames}
    return len(sets - {frozenset()}) > 1


def _pixels(record: dict[str, Any], field: str, path: Path) -> int:
    value = record.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise AnnotationError(f"{path}: {field} must be a positive number of pixels, found {brief(value)}.")
    return value


def parse_instance(record: Any, where: str) -> Instance:
    """Checks and converts one entry of ``annotations``.

    Args:
        record: the JSON value.
        where: file and position, for messages.

    Raises:
        AnnotationError: a field is missing or invalid.
    """
    if not isinstance(record, dict):
        raise AnnotationError(f"{where} must be an object, found {brief(record)}.")
    scenario = _scenario(record.get("task", record.get("scenario")), where)
    category = record.get("audio_visual_category")
    if not isinstance(category, str) or not category:
        raise AnnotationError(f"{where}.audio_visual_category must be a name, found {brief(category)}.")
    segmentation, bbox = record.get("segmentation"), record.get("bbox")
    rle = _run_lengths(segmentation, where) if isinstance(segmentation, dict) else None
    polygons = _polygons(segmentation, where) if segmentation and rle is None else ()
    box = _box(bbox, where) if bbox else None
    if rle is None and not polygons and box is None and scenario is not Scenario.OFF_SCREEN:
        raise AnnotationError(f"{where} has no segmentation and no bbox; only off-screen sources may lack both.")
    return Instance(category, scenario, polygons, box, rle, cue=_cue(record.get("cue"), where))


def _scenario(value: Any, where: str) -> Scenario:
    """The scenario of a task name; case, spaces, hyphens and underscores are ignored."""
    if isinstance(value, str):
        plain = "".join(value.split()).replace("-", "").replace("_", "").casefold()
        for scenario in SCENARIOS:
            if scenario.value.replace("_", "") == plain:
                return scenario
    known = ", ".join(scenario.value for scenario in SCENARIOS)
    raise AnnotationError(f"{where}.task is {brief(value)}; known are {known} (any case, space, - or _).")


def _cue(value: Any, where: str) -> Cue | None:
    """The cue of an annotation of the procedural world; AVATAR has none."""
    if value is None:
        return None
    if value in CUES:
        return Cue(value)
    raise AnnotationError(f"{where}.cue is {brief(value)}; known are {', '.join(CUES)}, or leave it out.")


def _polygons(value: Any, where: str, depth: int = 1) -> tuple[tuple[float, ...], ...]:
    """Flat polygons from one or a list of them, or from one or a list of lists of (x, y) pairs."""
    if not isinstance(value, list):
        raise AnnotationError(f"{where}.segmentation must be polygons or a COCO mask, found {brief(value)}.")
    if not isinstance(value[0], list):
        return (_polygon(value, where),)
    if depth > 3:
        raise AnnotationError(f"{where}.segmentation: polygons are lists of lists; these are nested more deeply.")
    if all(isinstance(part, list) and len(part) == 2 for part in value):
        return (_polygon([number for pair in value for number in pair], where),)
    return tuple(polygon for part in value for polygon in (_polygons(part, where, depth + 1) if part else ()))


def _polygon(numbers: list[Any], where: str) -> tuple[float, ...]:
    if not 6 <= len(numbers) <= 2 * MOST_POINTS or len(numbers) % 2 or not all(is_number(number) for number in numbers):
        raise AnnotationError(
            f"{where}.segmentation: a polygon is three or more pairs of numbers x, y, at most {MOST_POINTS}, "
            f"got {brief(numbers)}."
        )
    return tuple(float(number) for number in numbers)


def _box(value: Any, where: str) -> tuple[float, float, float, float]:
    numbers = isinstance(value, list) and len(value) == 4 and all(is_number(number) for number in value)
    if not numbers or min(value[2:]) <= 0:
        raise AnnotationError(f"{where}.bbox must be [left, top, width, height], found {brief(value)}.")
    left, top, width, height = (float(number) for number in value)
    return left, top, width, height


def _run_lengths(value: dict[str, Any], where: str) -> RunLengths:
    size: Any = value.get("size")
    counts: Any = value.get("counts")
    counts = decode_counts(counts) if isinstance(counts, str) else counts
    fits = are_sizes(size) and len(size) == 2 and is_image_size(*size)
    if not (fits and are_sizes(counts) and sum(counts) == math.prod(size)):
        raise AnnotationError(
            f"{where}.segmentation: a COCO mask needs size [height, width] and counts that add up to their "
            f"product, found {brief(value)}."
        )
    return RunLengths(size[0], size[1], tuple(counts))


def _check_shape(mask: RunLengths, size: tuple[int, int], where: str) -> None:
    """Refuses a mask that has not the shape of its image; it may be smaller or larger as a whole.

    Raises:
        AnnotationError: width and height have another ratio.
    """
    height, width = size
    if abs(mask.width * height - mask.height * width) <= max(height, width):  # sides are rounded to pixels
        return
    likely = "height and width look exchanged" if (mask.width, mask.height) == size else "the mask is of another image"
    raise AnnotationError(
        f"{where}.size is [{mask.height}, {mask.width}], which is [height, width], and original_height and "
        f"original_width are {height} and {width}: {likely}, or they are wrong."
    )


def decode_counts(text: str) -> list[int]:
    """Run lengths from COCO's compressed string.

    Each number is a sequence of groups of five bits, the lowest first, one character (code 48 + group) per group. Bit 5
    is set if more groups follow; bit 4 of the last group is the sign. From the fourth number on, each is the difference
    to the run two before.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        number |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20 and shift < LONGEST_RUN_BITS:
            continue
        if group & 0x10:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number, shift = 0, 0
    return counts
