"""Boxes and masks in another unit than that of their data set are refused with the likely cause."""

import json
from pathlib import Path
from typing import Any

import pytest

from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.avsbench import AVSBench
from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.data.datasets.is3 import IS3
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.errors import AnnotationError
from tests.helpers.trees import instance, write_annotation

EDGES = ("xmin", "ymin", "xmax", "ymax")


def read(folder: Path, kind: str, boxes: list[list[Any]]) -> None:
    """Reads annotations with these boxes."""
    path = folder / "list.json"
    if kind == "vggss":
        path.write_text(json.dumps([{"file": f"c{n}", "class": "x", "bbox": [box]} for n, box in enumerate(boxes)]))
        VGGSS(str(path)).clips()
    elif kind == "is3":
        path.write_text(json.dumps([{"image": f"a_b_{n}_a.jpg", "gt_box": box} for n, box in enumerate(boxes)]))
        IS3(str(path)).clips()
    elif kind == "avsbench":
        path.write_text(json.dumps([{"image": f"c{n}_1.png", "gt_box": box} for n, box in enumerate(boxes)]))
        AVSBench(str(path)).clips()
    elif kind == "flickr":
        for n, box in enumerate(boxes):
            edges = "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(EDGES, box, strict=True))
            (folder / f"{n}.xml").write_text(f"<annotation><bbox>{edges}</bbox></annotation>")
        FlickrSoundNet(str(folder)).clips()
    else:
        for n, box in enumerate(boxes):
            write_annotation(folder, f"clip_{n:05d}", "00000", [instance(**{kind: box})], width=640, height=360)
        AVATAR(str(folder), videos=False).clips()


@pytest.mark.parametrize(
    ("kind", "boxes", "words"),
    [
        ("vggss", [[10, 20, 200, 180], [0, 0, 320, 240]], r"2 of 2 boxes .* outside of the image; .* look like pixels"),
        ("vggss", [[0.1, 0.1, 0.5, 0.5]] * 4 + [[10, 20, 200, 180]], "1 of 5 boxes .*entry 4"),
        ("is3", [[0.1, 0.2, 0.5, 0.6]], "look like fractions"),
        ("is3", [[100, 20, 600, 300]], "lie outside of the image; .*resized to 224 x 224"),
        ("avsbench", [[0, 0, 0, 0], [0.1, 0.2, 0.5, 0.6]], "1 of 1 boxes .* look like fractions"),
        ("avsbench", [[200, 100, 1270, 700]], "look like pixels of the original images"),
        ("flickr", [[10, 10, 400, 300]], "resized to 256 x 256"),
        ("flickr", [[0, 0, 1, 1]], "look like fractions"),
        ("segmentation", [[[0.1, 0.1, 0.9, 0.1, 0.9, 0.8]]], "look like fractions"),
        ("segmentation", [[[10, 10, 1900, 10, 1900, 1000]]], "sizes are of another version of the images"),
        ("bbox", [[400, 200, 600, 340]], r"\[x0, y0, x1, y1\]"),
        ("segmentation", [{"size": [640, 360], "counts": [640 * 360]}], "height and width look exchanged"),
        ("segmentation", [{"size": [480, 640], "counts": [480 * 640]}], "the mask is of another image"),
    ],
)
def test_other_units_are_refused(kind: str, boxes: list[list[Any]], words: str, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=words):
        read(tmp_path, kind, boxes)


@pytest.mark.parametrize(
    ("kind", "boxes"),
    [
        ("vggss", [[-0.5, 0.5, 0.25, 1.5], [0.9, 0.9, 0.95, -3e16]]),
        ("vggss", [[0.1, 0.1, 0.5, 0.5]] * 10 + [[10, 20, 200, 180]]),
        ("is3", [[0, 0, 224, 224], [-3, 5, 230, 100]]),
        ("avsbench", [[0, 0, 0, 0], [75.0, 0.0, 200.0, 223.0]]),
        ("flickr", [[0, 0, 256, 256]]),
        ("segmentation", [[[-5, 10, 650, 10, 650, 365]]]),
        ("bbox", [[0, 0, 640, 360]]),
        ("segmentation", [{"size": [180, 320], "counts": [180 * 320]}]),
        ("segmentation", [{"size": [361, 641], "counts": [361 * 641]}]),
    ],
)
def test_boxes_inside_and_single_odd_ones_are_read(kind: str, boxes: list[list[Any]], tmp_path: Path) -> None:
    read(tmp_path, kind, boxes)
