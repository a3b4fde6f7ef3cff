from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.collate import collate
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.transforms import Augment
from tavlo_pl.errors import AnnotationError
from tests.helpers.clips import NTSC, has_flash, read_number, write_numbered
from tests.helpers.suite import protocol
from tests.helpers.trees import instance, write_avatar

SPEC = ClipSpec(segments=4, duration_s=2.0, image_size=64)
NAMES = [f"{letter * 11}_00000" for letter in "abc"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of 2 s and 25 frames a second; segments of 0.5 s begin at frames 0, 13, 25, 38."""
    frames = {
        NAMES[0]: {"00003": [instance()], "00030": [instance("Off-Screen", segmentation=None)]},
        NAMES[1]: {
            "00026": [instance(category="cat")],
            "00037": [instance(), instance("Mixed-sound", "cow")],
        },
        NAMES[2]: {"00049": [instance(category="dog"), instance(category="cat")]},
    }
    root = write_avatar(tmp_path_factory.mktemp("avatar"), frames)
    write_numbered(root / "video" / f"{NAMES[1]}.mp4", click_s=(0.25, 1.0))
    return root


@pytest.fixture(scope="module")
def clips(tree: Path) -> list[Clip]:
    return AVATAR(str(tree)).clips()


def numbers(item: Any) -> list[int]:
    """The frame numbers drawn into the frames shown."""
    return [read_number(frame.permute(1, 2, 0).numpy()) for frame in item.frames]


def test_shapes_and_types(clips: list[Clip]) -> None:
    item = ClipDataset(clips, "test", SPEC, protocol=protocol())[0]
    assert item.frames.shape == (4, 3, 64, 64)
    assert item.frames.dtype == torch.uint8
    assert item.waveform.shape == item.mismatched_waveform.shape == (32_000,)
    assert item.frame_time.dtype == torch.float64
    assert item.targets.mask.shape == (2, 32, 32)


def test_evaluation_shows_centres_and_annotated_frames(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "val", SPEC)
    assert numbers(dataset[0]) == [
        3,
        18,
        30,
        43,
    ]  # centres 0.25, 0.75, 1.25, 1.75 s; frames 3 and 30 are annotated
    assert dataset[0].frame_time.tolist() == pytest.approx([0.12, 0.72, 1.2, 1.72])


def test_two_annotated_frames_of_a_segment_take_two_passes(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "val", SPEC)
    assert len(dataset) == 4
    assert [numbers(dataset[index])[2] for index in (1, 2)] == [26, 37]
    batch = collate([dataset[index] for index in range(4)])
    targets = batch["targets"]
    assert targets.sample_id == [
        f"{NAMES[0]}/00003/single_sound",
        f"{NAMES[0]}/00030/off_screen",
        f"{NAMES[1]}/00026/single_sound",
        f"{NAMES[1]}/00037/single_sound",
        f"{NAMES[1]}/00037/mixed_sound",
        f"{NAMES[2]}/00049/single_sound",
    ]
    assert targets.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert targets.row.tolist() == [0, 0, 1, 2, 2, 3]
    assert targets.segment.tolist() == [0, 2, 2, 2, 2, 3]
    assert targets.clip.tolist() == [0, 0, 1, 1, 1, 2]
    assert targets.category[-3:] == ["dog", "cow", "cat+dog"]
    assert targets.cross_event.tolist() == [False, False, True, True, True, False]
    assert targets.scenarios[1].tolist() == [False, False, False, True]
    assert targets.mask.flatten(1).any(1).tolist() == [True, False, True, True, True, True]
    assert batch["sample_id"] == [NAMES[0], NAMES[1], NAMES[1], NAMES[2]]
    assert batch["index"].tolist() == [0, 1, 2, 3]


def test_the_annotated_frame_is_shown_at_uneven_rates(tmp_path: Path) -> None:
    root = write_avatar(tmp_path, {NAMES[0]: {"00044": [instance()]}}, empty=True)
    path = root / "video" / f"{NAMES[0]}.mp4"
    for video in ({"rate": NTSC}, {"times_s": np.cumsum([0.01, 0.05] * 33)}):
        write_numbered(path, seconds=2.0, x264="keyint=12:bframes=2", **video)
        item = ClipDataset(AVATAR(str(root)).clips(), "val", SPEC)[0]
        assert 44 in numbers(item)
        assert numbers(item)[int(item.targets.segment)] == 44


def test_frames_and_masks_are_squashed_alike(clips: list[Clip]) -> None:
    mask = ClipDataset(clips, "val", SPEC, protocol=protocol())[0].targets.mask[0]
    rows, columns = np.nonzero(mask.numpy())
    assert (rows.min(), rows.max()) == (8 * 32 // 64, 40 * 32 // 64 - 1)
    assert (columns.min(), columns.max()) == (5, 26)  # 16 / 3 and 80 / 3, pixels whose centre lies inside


def test_training_frame_follows_seed_epoch_and_index(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "train", SPEC)
    drawn = [numbers(dataset[epoch, 0]) for epoch in range(12)]
    limits = [
        (0, 12),
        (12, 25),
        (25, 37),
        (37, 49),
    ]  # the frame shown at a segment's first moment may be older
    for row in drawn:
        assert all(low <= number <= high for number, (low, high) in zip(row, limits, strict=True))
    assert all(max(np.diff(row)) - min(np.diff(row)) <= 2 for row in drawn)  # at equal distances, rounded to frames
    assert len({tuple(row) for row in drawn}) > 6
    assert drawn[3] == numbers(ClipDataset(clips, "train", SPEC)[3, 0])
    assert drawn[3] != numbers(ClipDataset(clips, "train", SPEC, seed=1)[3, 0])
    assert drawn[3] != numbers(dataset[3, 1])


def test_training_shows_centres_where_moments_are_not_random(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "train", SPEC, augment=Augment(flip=False, random_moment=False))
    evaluated = ClipDataset([replace(clip, annotations=()) for clip in clips], "test", SPEC)
    shown = numbers(dataset[3, 0])
    assert shown == numbers(evaluated[0]) == numbers(dataset[4, 0]) == [6, 18, 31, 43]


def test_training_has_no_targets(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "train", SPEC)
    assert len(dataset) == 3
    assert "targets" not in collate([dataset[0, 0]])


def test_flip_mirrors_whole_clips_about_half_of_the_time(clips: list[Clip]) -> None:
    plain = ClipDataset(clips, "train", SPEC)
    flipped = ClipDataset(clips, "train", SPEC, augment=Augment())
    mirrored = []
    for epoch in range(12):
        one, other = plain[epoch, 0], flipped[epoch, 0]
        assert (one.waveform == other.waveform).all()
        mirrored.append(not torch.equal(one.frames, other.frames))
        assert torch.equal(one.frames.flip(-1) if mirrored[-1] else one.frames, other.frames)
    assert 2 <= sum(mirrored) <= 10


def test_frame_and_sound_of_a_segment_are_the_same_moment(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips[1:2], "val", replace(SPEC, segments=50, columns_per_segment=2))  # a segment is a frame
    item = dataset[0]
    lit = [segment for segment, frame in enumerate(item.frames) if has_flash(frame.permute(1, 2, 0).numpy())]
    heard = item.waveform.reshape(50, -1).abs().amax(1) > 0.3
    assert lit == [6, 25]
    assert {6, 25} <= set(heard.nonzero().flatten().tolist()) <= {5, 6, 24, 25}


def test_swapped_sound_is_that_of_another_clip(clips: list[Clip]) -> None:
    dataset = ClipDataset(clips, "test", SPEC)
    for index, other in ((0, 1), (1, 2), (2, 2), (3, 0)):  # items 1 and 2 are passes of clip 1
        expected = media.read_waveform(clips[other].path, 0.0, 2.0)
        assert torch.equal(dataset[index].mismatched_waveform, torch.from_numpy(expected))
    assert ClipDataset(clips, "val", SPEC)[0].mismatched_waveform is None


def broken(clips: list[Clip], index: int, tmp_path: Path) -> list[Clip]:
    """The same clips, one of them an HTML page."""
    page = tmp_path / "page.mp4"
    page.write_text("<html>gone</html>")
    clip = clips[index]
    return [*clips[:index], Clip(clip.sample_id, page, 0.0, clip.annotations), *clips[index + 1 :]]


def test_in_training_another_clip_takes_the_place_of_a_bad_one(clips: list[Clip], tmp_path: Path) -> None:
    dataset = ClipDataset(broken(clips, 1, tmp_path), "train", SPEC)
    items = [dataset[epoch, 1] for epoch in range(8)]
    assert {item.index for item in items} == {0, 2}
    (bad,) = items[0].bad_clips
    assert (bad.index, bad.sample_id, bad.samples) == (1, NAMES[1], 0)
    assert bad.reason.startswith(str(tmp_path / "page.mp4"))
    assert torch.equal(items[0].frames, dataset[0, 1].frames)
    assert not dataset[0, 0].bad_clips


def test_bad_clip_is_blank_and_counted_in_evaluation(clips: list[Clip], tmp_path: Path) -> None:
    dataset = ClipDataset(broken(clips, 1, tmp_path), "test", SPEC)
    batch = collate([dataset[index] for index in range(3)])
    assert [(bad.index, bad.samples) for bad in batch["bad_clips"]] == [(1, 3)]
    assert not batch["frames"][1].any()
    assert batch["targets"].row.tolist() == [0, 0, 2]
    assert batch["targets"].index.tolist() == [0, 1, 5]  # the numbers of the others do not depend on the loss
    swapped = torch.from_numpy(media.read_waveform(clips[2].path, 0.0, 2.0))
    assert torch.equal(batch["mismatched_waveform"][0], swapped)  # clip 1 would be next, and has no sound


def test_a_clip_is_never_swapped_with_itself(clips: list[Clip], tmp_path: Path) -> None:
    dataset = ClipDataset(broken(clips[:2], 1, tmp_path), "test", SPEC)
    assert dataset[0].waveform.any()
    assert not dataset[0].mismatched_waveform.any()  # silence, as the only other clip has no sound to give


def test_no_readable_clip_at_all_names_them_all(tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.touch()
    item = ClipDataset([Clip("a", page), Clip("b", page)], "train", SPEC)[0, 0]
    assert {bad.index for bad in item.bad_clips} == {0, 1}


def test_a_image_that_ends_too_early_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    write_numbered(path, times_s=np.arange(25) / 25)  # 1 s of image, 2 s of sound
    for stage in ("train", "val"):
        (bad,) = ClipDataset([Clip("short", path)], stage, SPEC)[0].bad_clips
        assert "the video stream ends at 1.00 s" in bad.reason


def test_a_image_may_end_within_a_segment_or_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    for times_s in (
        np.arange(39) / 25,
        [*np.arange(25) / 25, 1.9],
    ):  # ends at 1.56 s; holds a frame for 0.9 s
        write_numbered(path, times_s=times_s)
        assert not ClipDataset([Clip("clip", path)], "val", SPEC)[0].bad_clips


def test_a_image_that_begins_too_late_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    write_numbered(path, times_s=np.arange(25) / 25, video_start_s=1.0)
    (bad,) = ClipDataset([Clip("late", path)], "val", SPEC)[0].bad_clips
    assert "the video stream begins at 1.00 s" in bad.reason


def test_annotated_frames_outside_the_clip_are_named(tmp_path: Path) -> None:
    root = write_avatar(tmp_path, {NAMES[0]: {"00050": [instance()]}})
    with pytest.raises(AnnotationError, match="frame 00050 is number 50 from 0, but the video has 50 frames"):
        ClipDataset(AVATAR(str(root)).clips(), "test", SPEC)
    assert len(ClipDataset(AVATAR(str(root), frame_base=1).clips(), "test", SPEC)) == 1
    with pytest.raises(AnnotationError, match=r"frame 00050 is shown at 1\.960 s, outside the span of 1\.5 s"):
        ClipDataset(AVATAR(str(root), frame_base=1).clips(), "test", replace(SPEC, duration_s=1.5))


def test_a_part_of_a_clip_has_its_frames_and_its_sound(clips: list[Clip]) -> None:
    part = replace(SPEC, segments=2, duration_s=1.0)
    whole, parts = ClipDataset(clips, "train", SPEC), ClipDataset(clips, "train", part, clip_segments=4)
    starts = set()
    for epoch in range(12):
        item = parts[epoch, 1]
        assert item.frames.shape[0] == 2 and item.waveform.shape == (16_000,)
        first = round(2 * (item.clip.start_s - clips[1].start_s))
        shown = numbers(whole[epoch, 1])[first : first + 2]
        assert np.abs(np.array(numbers(item)) - shown).max() <= 1  # the same moments, rounded in another way
        sound = whole[epoch, 1].waveform[8_000 * first :][:16_000]
        assert (item.waveform - sound).abs().max() < 0.02
        starts.add(first)
    assert starts == {0, 1, 2}
