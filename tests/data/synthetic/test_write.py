"""The world on disk, read back by the readers that real data uses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.media import read_clip, write_clip
from tavlo_pl.data.synthetic.write import write_world
from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tavlo_pl.types import Scenario
from tests.helpers.trees import sample_of

SMALL = {"duration_s": 2.0, "frame_rate": 10, "width": 96, "height": 64, "workers": 1}


def small_world(folder: Path, **kwargs: object) -> Path:
    write_world(
        str(folder), **({"train_clips": 2, "clips_per_scenario": 1, "val_clips_per_scenario": 1} | SMALL | kwargs)
    )  # type: ignore[arg-type]
    return folder


def annotations(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.json"))}


def test_the_readers_of_real_data_read_it_back(tmp_path: Path) -> None:
    world = small_world(tmp_path / "world")
    assert len(VGGSound(str(world / "train")).clips()) == 2
    clips = AVATAR(str(world / "test")).clips()
    assert len(clips) == 5
    seen = {i.scenario for c in clips for f in c.annotations for i in f.instances}
    assert {Scenario.MIXED_SOUND, Scenario.MULTI_ENTITY, Scenario.OFF_SCREEN} <= seen
    clip = next(c for c in clips for f in c.annotations if f.instances[0].scenario is Scenario.MULTI_ENTITY)
    frame = clip.annotations[0]
    image = np.asarray(Image.open(world / "test" / "metadata" / clip.sample_id / f"{frame.name}.jpg"))
    decoded = read_clip(clip.path, [frame.number / 10], None, 0.0, 2.0)
    assert np.abs(decoded.frames[0].astype(int) - image).mean() < 12  # the annotated image is the frame of the video
    assert len(decoded.waveform) == 32_000 and np.abs(decoded.waveform).max() > 0.01
    mask = sample_of(frame, Scenario.MULTI_ENTITY).mask((64, 96))
    content = json.loads((world / "test" / "metadata" / clip.sample_id / f"{frame.name}.json").read_text())
    assert mask.sum() == sum(content["annotations"][0]["segmentation"]["counts"][1::2])


@pytest.mark.slow
def test_version_1_has_neither_cues_nor_oracles(tmp_path: Path) -> None:
    first, second = small_world(tmp_path / "one", version=1), small_world(tmp_path / "two")
    for world, has in ((first, False), (second, True)):
        frames = [json.loads(text) for name, text in annotations(world / "test").items() if "metadata" in name]
        on_screen = [a for frame in frames for a in frame["annotations"] if a["task"] != "Off-Screen"]
        assert on_screen and all(("cue" in annotation) is has for annotation in on_screen)
        assert (world / "test" / "oracles").is_dir() is has and not (world / "train" / "oracles").exists()


def test_world_depends_on_the_seed_alone(tmp_path: Path) -> None:
    one, two = small_world(tmp_path / "one"), small_world(tmp_path / "two", workers=2)
    assert annotations(one) == annotations(two)
    video_file = next((one / "test" / "video").glob("*.mp4"))
    frames = [
        read_clip(w / "test" / "video" / video_file.name, [0.0, 0.5, 1.5], None, 0, 2.0).frames for w in (one, two)
    ]
    assert np.array_equal(*frames)
    other = small_world(tmp_path / "other", seed=1, train_clips=0, val_clips_per_scenario=0)
    assert not annotations(other / "test").keys() & annotations(one / "test").keys()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_another_world_is_refused(tmp_path: Path) -> None:
    world = small_world(tmp_path / "world")
    films = sorted(world.rglob("*.mp4"))
    films[0].unlink()
    kept = films[1].stat().st_mtime_ns
    small_world(world)
    assert films[0].exists() and films[1].stat().st_mtime_ns == kept
    with pytest.raises(ConfigError, match="other arguments"):
        small_world(world, seed=5)


@pytest.mark.parametrize("bad", [{"width": 97}, {"duration_s": 1.0}, {"train_clips": -1}])
def test_impossible_worlds_are_refused(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        small_world(tmp_path / "world", **bad)
    assert not (tmp_path / "world").exists()


def sprite_folder(folder: Path, classes: int = 5) -> Path:
    rng = np.random.default_rng(0)
    for number in range(classes):
        home = folder / f"class{number}"
        home.mkdir(parents=True)
        for variant in range(3):
            rgba = np.full((40, 30, 4), 40 * number + 5 * variant, np.uint8)
            rgba[..., 3] = 255
            Image.fromarray(rgba).save(home / f"{variant}.png")
            tone = 0.3 * np.sin(2 * np.pi * (200 + 100 * number) * np.arange(8000) / 16_000).astype(np.float32)
            write_clip(home / "sound.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5, 10, tone, 16_000)
            (home / "sound.mp4").rename(home / f"{variant}.ogg")  # a container is known by its bytes
    (folder / "_backgrounds").mkdir()
    for variant in range(3):
        noise = rng.integers(0, 255, (80, 120, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "_backgrounds" / f"{variant}.png")
    return folder


def test_a_world_of_real_images_and_recordings(tmp_path: Path) -> None:
    sprites = sprite_folder(tmp_path / "sprites")
    world = small_world(tmp_path / "world", sprites=str(sprites))
    clips = AVATAR(str(world / "test")).clips()
    categories = {i.category for c in clips for f in c.annotations for i in f.instances}
    assert categories and categories <= {f"class{n}" for n in range(5)}
    listed = [
        AVATAR(str(world / "test"), ids=str(world / "test/ids" / f"new_{part}.txt")) for part in ("images", "both")
    ]
    assert all(len(source.clips()) == len(clips) for source in listed)  # three files of each: all are new


def test_test_clips_use_other_files_than_training_clips(tmp_path: Path) -> None:
    from tavlo_pl.data.synthetic.materials import FromFiles

    sprites = str(sprite_folder(tmp_path / "sprites"))
    train, test = FromFiles(sprites, "train"), FromFiles(sprites, "test")
    for one, other in ((train._images, test._images), (train._recordings, test._recordings)):
        assert all(one[c] and other[c] and not set(one[c]) & set(other[c]) for c in one)
    assert not set(train._backgrounds) & set(test._backgrounds)
    assert test.new_image == test.new_sound == set(test.categories) and not train.new_image


@pytest.mark.parametrize(
    ("count", "train", "val", "test"),
    [(1, [0], [0], [0]), (2, [0], [0], [1]), (3, [0], [2], [1]), (5, [0, 3], [2], [1, 4])],
)
def test_splits_of_the_files_of_a_class(count: int, train: list[int], val: list[int], test: list[int]) -> None:
    from tavlo_pl.data.synthetic.materials import is_new, share

    files = [Path(f"{n}.png") for n in range(count)]
    found = {split: [int(file.stem) for file in share(files, split)] for split in ("train", "val", "test")}
    assert found == {"train": train, "val": val, "test": test}
    assert is_new(files, "test") is (count > 1) and not is_new(files, "train")


def test_what_a_folder_of_sprites_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        small_world(tmp_path / "a", sprites=str(tmp_path / "none"))
    with pytest.raises(DatasetNotFoundError, match="3 class folders"):
        small_world(tmp_path / "b", sprites=str(sprite_folder(tmp_path / "three", 3)))


def test_recordings_begin_at_an_onset() -> None:
    from tavlo_pl.data.synthetic.materials import _onsets

    recording = 0.001 * np.ones(16_000)
    recording[4_000:6_000] = recording[12_000:13_000] = 0.5
    assert _onsets(recording).tolist() == [4_000, 12_000]
    assert _onsets(np.ones(100)).tolist() == [0]
