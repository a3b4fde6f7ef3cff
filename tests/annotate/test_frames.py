"""The JSON of an annotated frame."""

import json
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.annotate.frames import (
    FrameInstance,
    FrameRecord,
    Provenance,
    mask_of,
    parse_frame,
    read_frame,
    with_mask,
)
from tavlo_pl.data.annotations import Instance
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.errors import AnnotationError
from tavlo_pl.types import Scenario
from tests.helpers.trees import instance, write_annotation

MASK = np.zeros((64, 96), bool)
MASK[10:20, 30:50] = True
MASK[14:16, 35:40] = False


def record(status: str = "done") -> FrameRecord:
    """A frame with an accepted mask, a rejected polygon and an accepted off-screen source."""
    polygon = ((1.0, 2.0, 30.0, 2.5, 12.25, 40.0),)
    instances = (
        FrameInstance(
            "d0",
            with_mask(Instance("dog", Scenario.MIXED_SOUND), MASK),
            "accepted",
            Provenance("maskrcnn", 0.8, True, "ann", "2026-11-29T20:00:00.000+00:00"),
            (0.5, 1.25),
        ),
        FrameInstance("p1", Instance("cat", Scenario.SINGLE_SOUND, polygon), "rejected", Provenance("person")),
        FrameInstance("p2", Instance("bird", Scenario.OFF_SCREEN), "accepted", Provenance("person")),
    )
    return FrameRecord(7, 0.7, 96, 64, status, instances)  # type: ignore[arg-type]


def test_record_survives_its_json() -> None:
    again = parse_frame(json.loads(json.dumps(record().to_json())), 7, "x")
    assert again.to_json() == record().to_json()
    assert again.instances[0] == record().instances[0]
    assert (mask_of(again.instances[0].instance, again) == MASK).all()
    assert not mask_of(again.instances[2].instance, again).any()


@pytest.mark.parametrize(("status", "count"), [("done", 2), ("open", 0), ("cannot_tell", 0)])
def test_annotations_are_the_accepted_instances_of_done_frames(tmp_path: Path, status: str, count: int) -> None:
    path = tmp_path / "metadata" / "abcdefghijk_00010" / "00007.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record(status).to_json()))
    assert len(read_frame(path).annotations) == count
    (clip,) = AVATAR(str(tmp_path), videos=False).clips()
    assert sum(len(frame.instances) for frame in clip.annotations) == count
    if count:
        assert {each.category for each in clip.annotations[0].instances} == {"dog", "bird"}


def test_frame_of_avatar_is_read_as_done(tmp_path: Path) -> None:
    path = write_annotation(
        tmp_path, "abcdefghijk_00010", "00003", [instance(), instance("Off-screen", segmentation=[])]
    )
    frame = read_frame(path)
    assert frame.status == "done" and [each.status for each in frame.instances] == ["accepted"] * 2
    assert [each.id for each in frame.instances] == ["a0", "a1"]
    assert frame.annotated.instances[0].polygons[0][:2] == (16, 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"original_width": True}, "must be pixels"),
        ({"time_s": "x"}, "time_s must be seconds"),
        ({"tavlo": {"format": 2}}, "object of format 1"),
        ({"tavlo": {"status": "gone", "instances": []}}, "status must be one of open, done, cannot_tell"),
        ({"tavlo": {"status": "done", "instances": 3}}, "instances must be a list"),
    ],
)
def test_bad_frames_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        parse_frame({**record().to_json(), **changes}, 7, "x")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "p1"}, "two instances have the same id"),
        ({"id": 3}, "id must be a text"),
        ({"status": "maybe"}, "status must be one of proposed"),
        ({"span_s": [2, 1]}, "start before end"),
        ({"provenance": {"by": 3}}, "another type"),
        ({"provenance": {"who": "x"}}, "provenance must be an object"),
        ({"audio_visual_category": " "}, "a category is a name"),
        ({"segmentation": {"size": [2, 3], "counts": [6]}}, "another size than the frame"),
    ],
)
def test_bad_instances_are_refused(changes: dict[str, object], words: str) -> None:
    content = record().to_json()
    content["tavlo"]["instances"][0] |= changes
    with pytest.raises(AnnotationError, match=words):
        parse_frame(content, 7, "x")
