"""IS3, Interactive Synthetic Sound Source (Senocak et al., 2024): 3,240 synthetic images with two sources each.

``IS3_annotation.json`` is a list of ``{"image", "audio", "gt_box"}``, one entry per source: the image
``accordion_baby_10467`` has ``accordion_baby_10467_accordion`` and ``accordion_baby_10467_baby``, each with its own
audio. For IIoU, see `tavlo_pl.metrics.functional.ciou.scene_minimum`.
"""

from pathlib import Path, PurePosixPath
from typing import ClassVar

from tavlo_pl.data.annotation_units import check_units, placed_boxes
from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.datasets.json_list import CANVAS_PIXELS, OUTSIDE, image_instances, read_list, text_of
from tavlo_pl.errors import AnnotationError


class IS3(ClipSource):
    """Reads IS3; a clip is an image; its annotated frames are the sources.

    Args:
        annotations: the JSON list; masks, if it names any, are below its folder.

    Raises:
        DatasetNotFoundError: the list is missing or empty.
        AnnotationError: an entry cannot be read.
    """

    protocol: ClassVar[str] = "is3"

    def __init__(self, annotations: str) -> None:
        self.annotations = Path(annotations)

    def clips(self) -> list[Clip]:
        """All images, sorted by name."""
        frames: dict[str, dict[str, AnnotatedFrame]] = {}
        for where, entry in read_list(self.annotations, "entries {image, audio, gt_box} of IS3"):
            name = PurePosixPath(text_of(entry, "image", where)).stem
            image, _, category = name.rpartition("_")
            if not image or not category:
                raise AnnotationError(
                    f"{where}.image must end in <image>_<source>, as in cat_dog_12_cat.jpg, found {name}."
                )
            instances = image_instances(entry, category, where, self.annotations.parent)
            frame = AnnotatedFrame(0, name, CANVAS_PIXELS, CANVAS_PIXELS, instances, time_s=0.0)
            if frames.setdefault(image, {}).setdefault(name, frame) is not frame:
                raise AnnotationError(f"{where}: {name} has an earlier entry; keep one.")
        boxes = (box for name, found in frames.items() for box in placed_boxes(name, found.values()))
        check_units(boxes, self.annotations, OUTSIDE)
        return [Clip(p, Path(f"{p}.jpg"), annotations=tuple(found.values())) for p, found in sorted(frames.items())]
