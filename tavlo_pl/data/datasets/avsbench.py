"""AVSBench (Zhou et al., 2022), S4 and MS3: one annotated frame a second of five-second clips.

A JSON list of ``{"image", "audio", "gt_box"}`` in which ``gt_box`` is a box in pixels of 224 x 224 or the path of a
mask (also as ``gt_mask`` or ``mask``). Images are ``<clip>_<second>.png``, in MS3 ``<clip>.mp4_<second>.png``, from
1; in S4 the folder above the clip's is the category.
"""

from pathlib import Path, PurePosixPath
from typing import ClassVar

from tavlo_pl.data.annotation_units import check_units, placed_boxes
from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.datasets.json_list import CANVAS_PIXELS, OUTSIDE, image_instances, read_list, text_of
from tavlo_pl.errors import AnnotationError


class AVSBench(ClipSource):
    """Reads a list of AVSBench. The lists do not give the number of sources, so all frames count as Single-sound.

    Args:
        annotations: the JSON list; masks are below its folder.

    Raises:
        DatasetNotFoundError: the list is missing or empty.
        AnnotationError: an entry cannot be read.
    """

    protocol: ClassVar[str] = "avsbench"

    def __init__(self, annotations: str) -> None:
        self.annotations = Path(annotations)

    def clips(self) -> list[Clip]:
        """All clips, sorted by name, their frames by second."""
        frames: dict[str, dict[int, AnnotatedFrame]] = {}
        for where, entry in read_list(self.annotations, "entries {image, audio, gt_box} of AVSBench"):
            image = PurePosixPath(text_of(entry, "image", where))
            clip, _, second = image.stem.rpartition("_")
            if not clip or not second.isdecimal():
                raise AnnotationError(f"{where}.image must end in <clip>_<second>.png, found {image.name}.")
            category = entry.get("class", entry.get("category", _category(image)))
            instances = image_instances(entry, str(category), where, self.annotations.parent)
            number = int(second)
            frame = AnnotatedFrame(number, image.stem, CANVAS_PIXELS, CANVAS_PIXELS, instances, time_s=float(number))
            if frames.setdefault(clip.removesuffix(".mp4"), {}).setdefault(number, frame) is not frame:
                raise AnnotationError(f"{where}: {image.stem} has an earlier entry; keep one.")
        boxes = (box for name, found in frames.items() for box in placed_boxes(name, found.values()))
        check_units(boxes, self.annotations, OUTSIDE)
        return [
            Clip(clip, Path(f"{clip}.mp4"), annotations=tuple(found[number] for number in sorted(found)))
            for clip, found in sorted(frames.items())
        ]


def _category(image: PurePosixPath) -> str:
    """S4's ``<split>/<category>/<clip>/<image>``; MS3 has none."""
    parts = image.parts
    return parts[-3] if len(parts) >= 4 and parts[-4] in ("train", "val", "test") else ""
