"""Checks of the unit of boxes: annotations that lie outside of the image as a rule would be scored as empty."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tavlo_pl.data.annotations import AnnotatedFrame, Instance
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.parsing import brief

MOST_WRONG = 0.1
"""Share of boxes that may lie outside of the image or be as small as fractions; data sets have single odd ones."""

MARGIN = 0.1
"""Boxes may exceed the image by this share of its width and height."""

LARGEST_EDGE = 2**17
"""Larger edges are no pixels: VGG-SS has 12 edges at -3e16."""

SMALLEST_SIDE = 4
"""Fractions are recognised in images with at least so many pixels in width and height."""

Box = tuple[float, float, float, float]


class PlacedBox(NamedTuple):
    """A box in its image.

    Attributes:
        where: its place in the annotations, for messages.
        edges: (x0, y0, x1, y1).
        width: of the image, in the unit of the edges.
        height: of the image, in the unit of the edges.
    """

    where: str
    edges: Box
    width: float
    height: float

    def is_outside(self, margin: float) -> bool:
        """Whether an edge lies outside of the image by more than a share of its size."""
        sides = (self.width, self.height) * 2
        pairs = list(zip(self.edges, sides, strict=True))
        if any(abs(edge) > LARGEST_EDGE for edge, _ in pairs):
            return False
        return any(not -margin * side <= edge <= (1 + margin) * side for edge, side in pairs)

    @property
    def is_fraction(self) -> bool:
        """Whether all edges are at most 1 in an image of many pixels; boxes of zeros mean that there is no source."""
        is_small = all(0 <= edge <= 1 for edge in self.edges) and any(self.edges)
        return is_small and min(self.width, self.height) >= SMALLEST_SIDE


def check_units(boxes: Iterable[PlacedBox], source: object, outside: str, margin: float = MARGIN) -> None:
    """Refuses boxes that do not have the unit of their data set.

    Args:
        boxes: all boxes of a data set.
        source: the list or folder, for the message.
        outside: the likely cause, and what to do, if boxes lie outside of their images.
        margin: share of the size of an image by which boxes may exceed it.

    Raises:
        AnnotationError: more than `MOST_WRONG` of the boxes lie outside of their images, or are fractions.
    """
    count, wrong, fractions = 0, [], []
    for box in boxes:
        count += 1
        if box.is_outside(margin):
            wrong.append(box)
        elif box.is_fraction:
            fractions.append(box)
    if len(wrong) > MOST_WRONG * count:
        raise AnnotationError(f"{source}: {_some(wrong, count)} lie outside of the image; {outside}.")
    if len(fractions) > MOST_WRONG * count:
        raise AnnotationError(
            f"{source}: {_some(fractions, count)} have no edge above 1; they look like fractions of the image, and "
            "pixels are expected: multiply x by its width and y by its height."
        )


def _some(boxes: list[PlacedBox], count: int) -> str:
    first = boxes[0]
    example = f"{first.where}: {brief([round(edge, 3) for edge in first.edges])} in {first.width:g} x {first.height:g}"
    return f"{len(boxes):,} of {count:,} boxes ({example})"


def placed_boxes(name: str, frames: Iterable[AnnotatedFrame]) -> Iterator[PlacedBox]:
    """The boxes of the annotated frames of a clip; for polygons, those that enclose them.

    Args:
        name: of the clip.
        frames: its annotations.
    """
    for frame in frames:
        for number, instance in enumerate(frame.instances):
            for edges in _bounds(instance):
                yield PlacedBox(f"{name}/{frame.name}: source {number}", edges, frame.width, frame.height)


def _bounds(instance: Instance) -> list[Box]:
    if instance.polygons:
        columns = [x for polygon in instance.polygons for x in polygon[::2]]
        rows = [y for polygon in instance.polygons for y in polygon[1::2]]
        return [(min(columns), min(rows), max(columns), max(rows))]
    if instance.bbox is not None:
        left, top, width, height = instance.bbox
        return [(left, top, left + width, top + height)]
    return [instance.box] if instance.box is not None else []
