"""Imports from COCO and CVAT with values that no tool writes."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tavlo_pl.annotate.exchange.coco import read_coco, to_coco
from tavlo_pl.annotate.exchange.cvat import read_cvat
from tavlo_pl.annotate.frames import parse_frame
from tests.helpers.hostile import refusal
from tests.helpers.trees import instance

FRAME = parse_frame(
    {"original_width": 96, "original_height": 64, "annotations": [instance(segmentation=[[1, 1, 9, 1, 9, 9]])]}, 7, "v"
)


def coco(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(json.dumps(to_coco({"v_1": [FRAME]})))
    change(content)
    return json.dumps(content)


def of_first(part: str, **fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[part][0].update(fields)


COCO: dict[str, str] = {
    "no object": "[]",
    "empty": "{}",
    "no images": coco(lambda content: content.pop("images")),
    "images are texts": coco(lambda content: content.update(images=["a"])),
    "no image": coco(lambda content: content.update(images=[], annotations=[])),
    "two images of one frame": coco(lambda content: content["images"].append(content["images"][0] | {"id": 2})),
    "image of no video": coco(of_first("images", video_id=9, file_name="a.jpg")),
    "image without id": coco(of_first("images", id=None)),
    "image id is a list": coco(of_first("images", id=[1])),
    "frame is NaN": coco(of_first("images", frame_id=math.nan, file_name="../7.png")),
    "frame is negative": coco(of_first("images", frame_id=-1)),
    "frame is long": coco(of_first("images", frame_id=10**30)),
    "width is infinite": coco(of_first("images", width=math.inf)),
    "width is 0": coco(of_first("images", width=0)),
    "width is 10**9": coco(of_first("images", width=10**9)),
    "time is a text": coco(of_first("images", time_s="1")),
    "time is NaN": coco(of_first("images", time_s=math.nan)),
    "off screen is a number": coco(of_first("images", off_screen=3)),
    "off screen of numbers": coco(of_first("images", off_screen=[3])),
    "category is true": coco(of_first("annotations", category_id=True)),
    "category is missing": coco(of_first("annotations", category_id=9)),
    "category is a number": coco(of_first("categories", name=3)),
    "category is empty": coco(of_first("categories", name="")),
    "category is long": coco(of_first("categories", name="x" * 10_000)),
    "category is half a pair": coco(of_first("categories", name="\ud800")),
    "clip is above": coco(of_first("videos", name="../a")),
    "clip is hidden": coco(of_first("videos", name=".a")),
    "clip is absolute": coco(of_first("videos", name="/a")),
    "clip is empty": coco(of_first("videos", name="")),
    "clip is long": coco(of_first("videos", name="é" * 150)),
    "clip has a line end": coco(of_first("videos", name="a\nb")),
    "clip has an escape": coco(of_first("videos", name="a\x1b[2Jb")),
    "image of another annotation": coco(of_first("annotations", image_id=9)),
    "box of texts": coco(of_first("annotations", bbox=["1"] * 4, segmentation=[])),
    "box is NaN": coco(of_first("annotations", bbox=[math.nan] * 4, segmentation=[])),
    "box is infinite": coco(of_first("annotations", bbox=[0, 0, math.inf, 1], segmentation=[])),
    "polygon of one point": coco(of_first("annotations", segmentation=[[1, 1]])),
    "polygon is NaN": coco(of_first("annotations", segmentation=[[math.nan] * 6])),
    "polygon is 1e300": coco(of_first("annotations", segmentation=[[1e300] * 6])),
    "run lengths that do not fit": coco(of_first("annotations", segmentation={"size": [64, 96], "counts": [1]})),
    "run lengths of another size": coco(of_first("annotations", segmentation={"size": [2, 3], "counts": [6]})),
    "run lengths of 10**12": coco(of_first("annotations", segmentation={"size": [10**6] * 2, "counts": [10**12]})),
    "run lengths of a text": coco(of_first("annotations", segmentation={"size": [64, 96], "counts": "\x00"})),
    "attributes are a list": coco(of_first("annotations", attributes=[])),
    "span is reversed": coco(of_first("annotations", attributes={"span_s": [2, 1]})),
    "span is infinite": coco(of_first("annotations", attributes={"span_s": [0, math.inf]})),
    "provenance is a text": coco(of_first("annotations", attributes={"provenance": "me"})),
    "scenario is unknown": coco(of_first("annotations", attributes={"scenario": "loud"})),
    "id is a number": coco(of_first("annotations", attributes={"instance_id": 3})),
    "id is long": coco(of_first("annotations", attributes={"instance_id": "x" * 10_000})),
}


@pytest.mark.parametrize("text", COCO.values(), ids=COCO)
def test_coco_with_odd_values_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "coco.json").write_text(text)
    assert "coco.json" in refusal(lambda: read_coco(tmp_path / "coco.json"))


def test_unchanged_coco_is_read(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(coco(lambda content: None))
    assert [frame.number for frame in read_coco(tmp_path / "coco.json")["v_1"]] == [7]


def cvat(shape: str, size: str = "<width>96</width><height>64</height>", frame: object = 7) -> str:
    meta = f"<meta><task><original_size>{size}</original_size></task></meta>"
    known = f'frame="{frame}" keyframe="1" outside="0"'
    return f'<annotations>{meta}<track label="dog">{shape.replace("KNOWN", known)}</track></annotations>'


POLYGON = '<polygon KNOWN points="1,1;9,1;9,9"/>'
MASK = '<mask KNOWN left="1" top="1" width="3" height="2" rle="{}"/>'
WHOLE = '<mask KNOWN left="0" top="0" width="8192" height="8192" rle="0, 67108864"/>'
LINE = '<mask KNOWN left="0" top="0" width="8192" height="1" rle="0, 8192"/>'
EIGHT_K = "<width>8192</width><height>8192</height>"
BOX = '<box KNOWN xtl="{}" ytl="1" xbr="9" ybr="9"/>'
CVAT: dict[str, str] = {
    "empty": "",
    "text": "annotations",
    "no size": cvat(POLYGON, ""),
    "size is a text": cvat(POLYGON, "<width>x</width><height>64</height>"),
    "size is long": cvat(POLYGON, f"<width>{'9' * 5_000}</width><height>64</height>"),
    "size is 10**9": cvat(POLYGON, "<width>1000000000</width><height>1000000000</height>"),
    "no track": cvat("").replace("track", "other"),
    "frame is a text": cvat(POLYGON, frame="x"),
    "frame is negative": cvat(POLYGON, frame=-1),
    "frame is long": cvat(POLYGON, frame="9" * 5_000),
    "points are texts": cvat('<polygon KNOWN points="a,b;c"/>'),
    "points are NaN": cvat('<polygon KNOWN points="nan,nan;nan,nan;nan,nan"/>'),
    "points are infinite": cvat('<polygon KNOWN points="inf,1;9,1;9,9"/>'),
    "no points": cvat("<polygon KNOWN/>"),
    "box is NaN": cvat(BOX.format("nan")),
    "box is infinite": cvat(BOX.format("-inf")),
    "box is 1e999": cvat(BOX.format("1e999")),
    "box is a text": cvat(BOX.format("x")),
    "mask is NaN": cvat(MASK.format("nan")),
    "mask is infinite": cvat(MASK.format("inf, 6")),
    "mask is negative": cvat(MASK.format("-1, 7")),
    "mask is short": cvat(MASK.format("5")),
    "mask of nothing": cvat(MASK.format("")),
    "mask is long": cvat(MASK.format("1e18")),
    "mask beside the frame": cvat(MASK.format("6").replace('left="1"', 'left="95"')),
    "mask of digits": cvat(MASK.format("6").replace('left="1"', f'left="{"9" * 5_000}"')),
    "masks of 8K": cvat(WHOLE * 40, EIGHT_K),
    "masks of lines": cvat("".join(LINE.replace("KNOWN", f'frame="{n}"') for n in range(2_100)), EIGHT_K),
    "mask of many runs": cvat(MASK.format("1, " * 2_000_000 + "1")),
    "1,001 instances": cvat(POLYGON * 1_001),
    "span of texts": cvat('<polygon KNOWN points="1,1;9,1;9,9"><attribute name="span_s">a b</attribute></polygon>'),
    "span is NaN": cvat('<polygon KNOWN points="1,1;9,1;9,9"><attribute name="span_s">nan 2</attribute></polygon>'),
    "entities": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><annotations>&b;</annotations>",
    "deep": "<a>" * 100_000,
}


@pytest.mark.parametrize("text", CVAT.values(), ids=CVAT)
def test_cvat_with_odd_values_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "v_1.xml").write_text(text)
    assert "v_1.xml" in refusal(lambda: read_cvat(tmp_path / "v_1.xml"))


def test_pipe_among_the_files_of_cvat_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(cvat(POLYGON))
    assert [frame.number for frame in read_cvat(tmp_path)["a"]] == [7]
    os.mkfifo(tmp_path / "b.xml")
    assert "b.xml" in refusal(lambda: read_cvat(tmp_path))
