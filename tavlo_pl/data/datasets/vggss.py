"""VGG-SS (Chen et al., 2021): boxes of sounding objects in the middle frame of 5,158 test clips of VGGSound.

``vggss.json`` is a list of ``{"file": "<id>_<start>", "class": str, "bbox": [[x0, y0, x1, y1], ...]}`` with edges as
shares of the frame; some are outside 0..1 and are clipped. One box is empty after clipping; as in the evaluators of the
peers, its clip stays in the denominator of 5,158. An empty ``bbox`` means that no visible source sounds, as in SLAVC's
extension.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tavlo_pl.data.annotation_units import PlacedBox, check_units
from tavlo_pl.data.annotations import AnnotatedFrame, Instance
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.clip_ids import clip_key
from tavlo_pl.data.datasets.json_list import box_of, read_list, text_of
from tavlo_pl.data.video_files import report_missing, videos_below
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.parsing import brief
from tavlo_pl.types import Scenario

PIXELS = (
    "edges are shares of the frame, 0 to 1, and these look like pixels: divide x by the width of the frame and y by "
    "its height"
)
"""Likely cause of boxes outside of the image."""

MARGIN = 1.0
"""Boxes may exceed the frame by its size, which separates pixels from boxes that are clipped."""


class VGGSS(ClipSource):
    """Reads VGG-SS.

    Args:
        annotations: ``vggss.json``.
        root: folder with VGGSound's mp4 files, at any depth; clips without one are skipped. Not needed to score saved
            heatmaps.

    Raises:
        DatasetNotFoundError: the list or the folder is missing, or none of the clips exists.
        AnnotationError: an entry cannot be read.
    """

    protocol: ClassVar[str] = "vggss_ezvsl"

    def __init__(self, annotations: str, root: str | None = None) -> None:
        self.annotations = Path(annotations)
        self.root = root

    def clips(self) -> list[Clip]:
        """All clips with video, sorted by name."""
        entries = read_list(self.annotations, "entries {file, class, bbox} of VGG-SS")
        clips = {clip.sample_id: clip for clip in (_clip(entry, where) for where, entry in entries)}
        check_units(_placed(entries), self.annotations, PIXELS, MARGIN)
        if len(clips) < len(entries):
            raise AnnotationError(f"{self.annotations}: the same file has two entries; keep one with all of its boxes.")
        kept = list(clips.values())
        if self.root is not None:
            files = videos_below(Path(self.root))
            missing = [name for name in clips if clip_key(name) not in files]
            report_missing("VGG-SS", missing, len(clips), "video")
            found = (clip for clip in kept if clip_key(clip.sample_id) in files)
            kept = [
                Clip(c.sample_id, files[clip_key(c.sample_id)], annotations=c.annotations, category=c.category)
                for c in found
            ]
        if not kept:
            raise DatasetNotFoundError(f"{self.root or self.annotations}: none of the clips of VGG-SS is there.")
        return sorted(kept, key=lambda clip: clip.sample_id)


def _placed(entries: list[tuple[str, dict[str, Any]]]) -> Iterator[PlacedBox]:
    """The boxes of checked entries, before they are clipped."""
    for where, entry in entries:
        for number, box in enumerate(entry["bbox"]):
            x0, y0, x1, y1 = map(float, box)
            yield PlacedBox(f"{where.rpartition(': ')[2]}.bbox[{number}]", (x0, y0, x1, y1), 1, 1)


def _clip(entry: dict[str, Any], where: str) -> Clip:
    name, category = text_of(entry, "file", where), text_of(entry, "class", where)
    boxes = entry.get("bbox")
    if not isinstance(boxes, list):
        raise AnnotationError(f"{where}.bbox must be a list of boxes [x0, y0, x1, y1], found {brief(boxes)}.")
    checked = [box_of(box, f"{where}.bbox[{n}]", ordered=False) for n, box in enumerate(boxes)]
    inside = [[min(max(edge, 0.0), 1.0) for edge in box] for box in checked]
    sources = tuple(Instance(category, Scenario.SINGLE_SOUND, box=(x0, y0, x1, y1)) for x0, y0, x1, y1 in inside)
    instances = sources or (Instance(category, Scenario.OFF_SCREEN),)
    frame = AnnotatedFrame(None, name, width=1, height=1, instances=instances)
    return Clip(name, Path(f"{name}.mp4"), annotations=(frame,), category=category)
