"""Flickr-SoundNet's test images (Senocak et al., 2018): boxes of three annotators on a canvas of 256 x 256 pixels.

One XML file per image, named by the image up to the first dot, with elements ``bbox`` with ``xmin``, ``ymin``,
``xmax``, ``ymax``. A pixel in two or more boxes has weight 1, in one box 0.5; see `tavlo_pl.metrics.functional.ciou`.
"""

from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from tavlo_pl.data.annotation_units import check_units, placed_boxes
from tavlo_pl.data.annotations import AnnotatedFrame, Instance
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.datasets.json_list import box_of
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.types import Scenario

CANVAS_PIXELS = 256
OUTSIDE = (
    f"boxes are in pixels of images that were resized to {CANVAS_PIXELS} x {CANVAS_PIXELS}, and these look like pixels "
    f"of the original images: scale them to {CANVAS_PIXELS} x {CANVAS_PIXELS}"
)
"""Likely cause of boxes outside of the image."""

EDGES = ("xmin", "ymin", "xmax", "ymax")
ANNOTATORS_NEEDED = 2

LARGEST_BYTES = 2**20
"""Largest size of an annotation; those of the set have a few kB."""


class FlickrSoundNet(ClipSource):
    """Reads the test annotations.

    Args:
        annotations: folder of the XML files.

    Raises:
        DatasetNotFoundError: the folder does not exist or has no XML file.
        AnnotationError: a file cannot be read.
    """

    protocol: ClassVar[str] = "flickr"

    def __init__(self, annotations: str) -> None:
        self.annotations = Path(annotations)

    def clips(self) -> list[Clip]:
        """All images, sorted by name."""
        paths = sorted(path for path in self.annotations.glob("*.xml") if not path.name.startswith("."))
        if not paths:
            raise DatasetNotFoundError(
                f"{self.annotations}: no such folder with files <image>.xml; give Flickr-SoundNet's annotations."
            )
        clips = [_clip(path) for path in paths]
        boxes = (box for clip in clips for box in placed_boxes(clip.sample_id, clip.annotations))
        check_units(boxes, self.annotations, OUTSIDE)
        return clips


def _clip(path: Path) -> Clip:
    try:
        content = read_bytes(path, LARGEST_BYTES, AnnotationError)
        root = ElementTree.fromstring(content)  # noqa: S314  # expat limits entity expansion
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # an encoding that there is not
        raise AnnotationError(f"{path}: no XML file ({error}); unpack it again.") from error
    instances = tuple(_instance(element, f"{path}: bbox[{n}]") for n, element in enumerate(root.iter("bbox")))
    if not instances:
        raise AnnotationError(f"{path}: no element bbox; expected boxes of {', '.join(EDGES)}.")
    name = path.name.split(".")[0]
    frame = AnnotatedFrame(0, name, CANVAS_PIXELS, CANVAS_PIXELS, instances, agreement=ANNOTATORS_NEEDED, time_s=0.0)
    return Clip(name, Path(f"{name}.jpg"), annotations=(frame,))


def _instance(element: ElementTree.Element, where: str) -> Instance:
    texts = [(element.findtext(edge) or "").strip() for edge in EDGES]
    try:
        edges = [int(text) for text in texts]
    except ValueError:
        known = ", ".join(child.tag for child in element)
        raise AnnotationError(
            f"{where} must have whole numbers {', '.join(EDGES)}, found {texts} among {known}."
        ) from None
    return Instance("", Scenario.SINGLE_SOUND, box=box_of(edges, where))
