import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.data.datasets.avatar import AVATAR, decode_counts
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.types import Scenario
from tests.helpers.trees import RECTANGLE, instance, sample_of, write_annotation, write_avatar

CLIP = "l_7B1wnTNtA_00020"
SIZE = (64, 96)


def read_one(root: Path, fields: dict[str, Any]) -> Any:
    """The clip read back from a tree with one frame and one instance."""
    write_avatar(root, {CLIP: {"00003": [fields]}}, empty=True)
    return AVATAR(str(root)).clips()[0]


def rectangle() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[8:40, 16:80] = True
    return mask


def test_clips_are_sorted_and_carry_their_frames(tmp_path: Path) -> None:
    tree = {
        "zzzzzzzzzzz_00001": {"00010": [instance()], "00002": [instance(), instance("Off-Screen", "cat")]},
        CLIP: {"00254": [instance()]},
    }
    clips = AVATAR(str(write_avatar(tmp_path, tree, empty=True))).clips()
    assert [clip.sample_id for clip in clips] == [CLIP, "zzzzzzzzzzz_00001"]
    assert clips[0].path == tmp_path / "video" / f"{CLIP}.mp4"
    assert [frame.number for frame in clips[1].annotations] == [2, 10]
    first = clips[1].annotations[0]
    assert (first.name, first.width, first.height) == ("00002", 96, 64)
    assert first.scenarios == (Scenario.SINGLE_SOUND, Scenario.OFF_SCREEN)
    assert (sample_of(first, Scenario.SINGLE_SOUND).mask(SIZE) == rectangle()).all()


def test_cues_of_the_procedural_videos_are_read(tmp_path: Path) -> None:
    tree = {CLIP: {"00003": [instance(cue="memory"), instance(cue="appearance")], "00009": [instance()]}}
    clip = AVATAR(str(write_avatar(tmp_path, tree, empty=True))).clips()[0]
    cues = [sample_of(frame, Scenario.SINGLE_SOUND).cue for frame in clip.annotations]
    assert cues == ["appearance+memory", ""]
    with pytest.raises(AnnotationError, match=r"cue is 'luck'; known are appearance, synchrony, memory"):
        read_one(tmp_path / "other", instance(cue="luck"))


def test_frame_base_is_taken_off(tmp_path: Path) -> None:
    write_avatar(tmp_path, {CLIP: {"00001": [instance()], "00254": [instance()]}}, empty=True)
    clip = AVATAR(str(tmp_path), frame_base=1).clips()[0]
    assert [(frame.number, frame.name) for frame in clip.annotations] == [(0, "00001"), (253, "00254")]
    write_annotation(tmp_path, CLIP, "00000", [instance()])
    with pytest.raises(AnnotationError, match=r"00000\.json.*frame_base"):
        AVATAR(str(tmp_path), frame_base=1).clips()


def test_folders_nested_in_themselves_are_found(tmp_path: Path) -> None:
    write_avatar(tmp_path / "plain", {CLIP: {"00003": [instance()]}}, empty=True)
    for name in ("video", "metadata"):
        (tmp_path / name).mkdir()
        (tmp_path / "plain" / name).rename(tmp_path / name / name)
    assert [clip.sample_id for clip in AVATAR(str(tmp_path)).clips()] == [CLIP]


@pytest.mark.parametrize("spelling", ["Mixed-sound", "mixed_sound", "MIXED SOUND", "MixedSound"])
@pytest.mark.parametrize("key", ["task", "scenario"])
def test_task_spellings(tmp_path: Path, spelling: str, key: str) -> None:
    fields = instance()
    del fields["task"]
    clip = read_one(tmp_path, fields | {key: spelling})
    assert clip.annotations[0].scenarios == (Scenario.MIXED_SOUND,)


RUNS = [16 * 64 + 8, *[32, 32] * 63, 32, 24 + 16 * 64]


@pytest.mark.parametrize(
    "geometry",
    [
        {"segmentation": RECTANGLE},
        {"segmentation": RECTANGLE[0]},
        {"segmentation": [[16, 8], [80, 8], [80, 40], [16, 40]]},
        {"segmentation": [[[16, 8], [80, 8], [80, 40], [16, 40]]]},
        {"segmentation": [[16, 8, 50, 8, 50, 40, 16, 40], [50, 8, 80, 8, 80, 40, 50, 40]]},
        {"segmentation": {"size": [64, 96], "counts": RUNS}},
        {"bbox": [16, 8, 64, 32]},
        {"segmentation": [], "bbox": [16, 8, 64, 32]},
        {"segmentation": None, "bbox": [16, 8, 64, 32]},
        {"segmentation": RECTANGLE, "bbox": [0, 0, 96, 64]},
    ],
)
def test_every_form_of_geometry_gives_the_same_mask(tmp_path: Path, geometry: dict[str, Any]) -> None:
    clip = read_one(tmp_path, instance(**geometry))
    assert (sample_of(clip.annotations[0], Scenario.SINGLE_SOUND).mask(SIZE) == rectangle()).all()


def encode_counts(counts: list[int]) -> str:
    """COCO's compressed string, the inverse of `decode_counts`."""
    text = ""
    for position, count in enumerate(counts):
        rest = count - counts[position - 2] if position > 2 else count
        more = True
        while more:
            group, rest = rest & 0x1F, rest >> 5
            more = rest != (-1 if group & 0x10 else 0)
            text += chr(48 + (group | 0x20 if more else group))
    return text


def test_compressed_run_lengths(tmp_path: Path) -> None:
    for counts in (RUNS, [5, 1000, 3, 7, 40_000, 1], [0, 16, 31, 15, 32, 1]):
        assert decode_counts(encode_counts(counts)) == counts
    # by hand: 1000 is the groups 01000, 11111, 00000; the fourth is 1 more than the run two before it
    assert decode_counts("52Xo01") == [5, 2, 1000, 3]
    fields = instance(segmentation={"size": [64, 96], "counts": encode_counts(RUNS)})
    assert (sample_of(read_one(tmp_path, fields).annotations[0], Scenario.SINGLE_SOUND).mask(SIZE) == rectangle()).all()


def test_off_screen_needs_no_geometry(tmp_path: Path) -> None:
    fields = instance("Off-Screen", segmentation=None)
    clip = read_one(tmp_path, fields)
    assert not sample_of(clip.annotations[0], Scenario.OFF_SCREEN).mask(SIZE).any()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            instance("Solo"),
            r"\[0\]\.task is 'Solo'; known are single_sound, mixed_sound, multi_entity, off_screen",
        ),
        ({"audio_visual_category": "dog"}, "task is None"),
        (instance(segmentation=None), "no segmentation and no bbox"),
        (instance(segmentation=[[1, 2, 3, 4]]), "three or more pairs"),
        (instance(segmentation=[[1, 2, 3, 4, 5, float("nan")]]), "three or more pairs"),
        (instance(segmentation="5N1"), "must be polygons or a COCO mask"),
        (instance(segmentation={"size": [64, 96], "counts": [1, 2]}), "add up to"),
        (instance(segmentation={"counts": [1, 2]}), "add up to"),
        (instance(bbox=[1, 2, 3]), "bbox must be"),
        (instance(bbox=[1, 2, 0, 3]), "bbox must be"),
        (instance(category=""), "audio_visual_category"),
    ],
)
def test_what_cannot_be_read_names_file_and_field(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(AnnotationError, match=words) as caught:
        read_one(tmp_path, fields)
    assert f"{CLIP}/00003.json" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON file"),
        ("[]", "must be an object"),
        (
            json.dumps({"original_width": 0, "original_height": 9, "annotations": []}),
            "original_width.*found 0",
        ),
        (json.dumps({"original_width": 9, "original_height": 9}), "annotations must be a list"),
        (
            json.dumps({"original_width": 9, "original_height": 9, "annotations": [3]}),
            r"\[0\] must be an object",
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    write_avatar(tmp_path, {CLIP: {"00003": [instance()]}}, empty=True)
    path = tmp_path / "metadata" / CLIP / "00003.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=words) as caught:
        AVATAR(str(tmp_path)).clips()
    assert str(path) in str(caught.value)


def test_cross_event_is_a_change_of_what_sounds_on_screen(tmp_path: Path) -> None:
    dog, cat, off = instance(), instance(category="cat"), instance("Off-Screen", "cat", segmentation=None)
    tree = {
        "aaaaaaaaaaa_00000": {"00000": [dog], "00010": [dog]},
        "bbbbbbbbbbb_00000": {"00000": [dog], "00010": [cat]},
        "ccccccccccc_00000": {"00000": [dog], "00010": [dog, off], "00020": [off]},
        "ddddddddddd_00000": {"00000": [dog], "00010": [dog, cat]},
    }
    write_avatar(tmp_path, tree, empty=True)
    assert [clip.cross_event for clip in AVATAR(str(tmp_path)).clips()] == [False, True, False, True]
    ids = tmp_path / "cross.txt"
    ids.write_text("aaaaaaaaaaa_000000\n")  # six digits, as VGGSound writes them
    listed = AVATAR(str(tmp_path), cross_event_list=str(ids)).clips()
    assert [clip.cross_event for clip in listed] == [True, False, False, False]


def test_missing_videos_are_reported_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_avatar(tmp_path, {CLIP: {"00003": [instance()]}}, empty=True)
    write_annotation(tmp_path, "aaaaaaaaaaa_00000", "00001", [instance()])
    assert [clip.sample_id for clip in AVATAR(str(tmp_path)).clips()] == [CLIP]
    assert "1 of 2 clips have no video (aaaaaaaaaaa_00000" in caplog.text


def test_missing_folders_say_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no folder 'video'.*metadata/<clip>/<frame>\.json"):
        AVATAR(str(tmp_path)).clips()
    (tmp_path / "video").mkdir()
    with pytest.raises(DatasetNotFoundError, match="no folder 'metadata'"):
        AVATAR(str(tmp_path)).clips()
    (tmp_path / "metadata").mkdir()
    with pytest.raises(DatasetNotFoundError, match="no clip has both"):
        AVATAR(str(tmp_path)).clips()


def test_a_list_of_ids_chooses_clips(tmp_path: Path) -> None:
    other = "aaaaaaaaaaa_00001"
    write_avatar(tmp_path, {name: {"00003": [instance("Single-Sound")]} for name in (CLIP, other)}, empty=True)
    listed = tmp_path / "ids.txt"
    listed.write_text(f"{other}\n")
    source = AVATAR(str(tmp_path), ids=str(listed))
    assert [clip.sample_id for clip in source.clips()] == source.sample_ids() == [other]
    listed.write_text("bbbbbbbbbbb_00001\n")
    with pytest.raises(DatasetNotFoundError, match="none of the 2 annotated clips"):
        source.clips()
