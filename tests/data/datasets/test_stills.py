"""Still composites: one image for each item, another sound at each epoch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tavlo_pl.data.clip import fingerprint
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.data.datasets import Concat, Stills
from tavlo_pl.data.datasets.stills import SIZE, StillClip, compose, drawn_objects, play
from tavlo_pl.data.media import DecodedClip
from tavlo_pl.data.synthetic.materials import FromFiles
from tavlo_pl.data.synthetic.scene import rng_of
from tavlo_pl.data.transforms import Augment
from tavlo_pl.errors import ConfigError, DatasetNotFoundError, MediaError
from tests.data.synthetic.test_write import sprite_folder

SPEC = ClipSpec(segments=2, duration_s=0.5, image_size=32, frequencies="none")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = sprite_folder(tmp_path_factory.mktemp("sprites"))
    for number in range(5):
        image = Image.new("RGBA", (60, 90))
        ImageDraw.Draw(image).ellipse((5, 5, 55, 85), fill=(255, 50 * number, 0, 255))
        for file in (folder / f"class{number}").glob("*.png"):
            image.save(file)
    quiet = folder / "_silent" / "statue"
    quiet.mkdir(parents=True)
    image.save(quiet / "0.png")
    for file in (folder / "_backgrounds").iterdir():
        Image.new("RGB", (700, 400), (0, 0, 200)).save(file)
    return folder


def test_objects_lie_where_the_owner_says(root: Path) -> None:
    materials = FromFiles(str(root), "train")
    counts = set()
    for number in range(8):
        names = [name for name, _ in drawn_objects(materials, rng_of("still", 0, number))]
        image, owner = compose(materials, rng_of("still", 0, number), SIZE)
        assert image.shape == (360, 640, 3) and owner.shape == (360, 640) and owner.max() < len(names)
        assert names[0] in materials.categories and len(set(names)) == len(names)
        assert (image[owner >= 0][:, 2] < image[owner >= 0][:, 0]).all()  # red to yellow on blue
        assert (image[owner < 0][:, 2] > 100).mean() > 0.98  # all but soft edges
        counts.add(len(names))
    assert len(counts) > 1


def test_item_keeps_its_image_and_draws_another_sound(root: Path) -> None:
    dataset = ClipDataset(Stills(str(root), count=3).clips(), "train", SPEC, replace(Augment(), flip=False), seed=1)
    first, again, later = dataset[0, 1], dataset[0, 1], dataset[1, 1]
    assert first.frames.equal(again.frames) and first.waveform.equal(again.waveform)
    assert first.frames.equal(later.frames) and not first.waveform.equal(later.waveform)
    assert first.frames[0].equal(first.frames[1]) and not first.frames.equal(dataset[0, 2].frames)
    assert first.frames.shape == (2, 3, 32, 32) and first.waveform.shape == (8000,) and not first.bad_clips


def test_a_part_of_a_longer_clip_and_other_sources_beside_it(root: Path) -> None:
    clips = Concat([Stills(str(root), count=2), Stills(str(root), count=2, seed=1)]).clips()
    dataset = ClipDataset(clips, "train", SPEC, seed=0, clip_segments=8)
    assert [dataset[0, n].clip.sample_id[:8] for n in range(4)] == ["still_0_", "still_0_", "still_1_", "still_1_"]
    assert dataset[0, 3].waveform.abs().max() > 0.001
    assert len({fingerprint(Stills(str(root), count=n).clips())["sha256"] for n in (2, 3)}) == 2


def test_a_batch_has_items_of_equally_many_segments(root: Path) -> None:
    """Batches have about equally many frames; the sound of an item is as long as its segments."""
    stills = [Stills(str(root), count=8, segments=2), Stills(str(root), count=6, seed=1)]
    assert Concat([stills[0], *stills]).clips().training_groups() == [(16, 2), (6, None)]
    clip, augment = ClipSpec(segments=4, duration_s=1.0, image_size=32), Augment(flip=False, mask_bands=2)
    data = ClipDataModule(Concat(stills), clip=clip, augment=augment, batch_size=2, num_workers=0)
    data.setup("fit")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    shapes = sorted((*batch["frames"].shape[:2], *batch["spectrogram"].shape[2:]) for batch in batches)
    assert shapes == [(2, 4, 64, 400)] * 3 + [(4, 2, 64, 200)] * 2
    for batch in batches:
        is_short = batch["frames"].shape[1] == 2
        assert batch["waveform"].shape[1] == (8_000 if is_short else 16_000)
        assert {index < 8 for index in batch["index"].tolist()} == {is_short}
    few = Concat([Stills(str(root), count=3, segments=2), Stills(str(root), count=6)])  # a group smaller than its batch
    data = ClipDataModule(few, clip=clip, batch_size=2, num_workers=0)
    data.setup("fit")
    with pytest.raises(ConfigError, match="takes 4 clips of 2 segments, more than the 3 training clips"):
        data.train_dataloader()
    with pytest.raises(ConfigError, match="segments 5 of Stills: a clip has 4"):
        ClipDataModule(Stills(str(root), segments=5), clip=clip).setup("fit")


def test_a_bad_item_is_replaced_by_one_of_its_length(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(clip: StillClip, *args: Any) -> DecodedClip:
        if clip.key == (0, 0):
            raise MediaError("broken")
        return whole(clip, *args)

    whole = StillClip.read
    monkeypatch.setattr(StillClip, "read", read)
    clips = Concat([Stills(str(root), count=2, segments=1), Stills(str(root), count=9, seed=1)]).clips()
    for epoch in range(5):
        item = ClipDataset(clips, "train", SPEC)[epoch, 0]
        assert item.clip.sample_id == "still_0_000001" and item.frames.shape[0] == 1 and len(item.bad_clips) == 1
    alone = ClipDataset(Stills(str(root), count=1, segments=1).clips(), "train", SPEC)[0, 0]
    assert alone.frames.shape[0] == 1 and alone.waveform.shape == (4_000,) and not alone.waveform.any()


def test_kept_images_are_read_again(root: Path, tmp_path: Path) -> None:
    source = Stills(str(root), count=2, images=str(tmp_path / "images"))
    first = source.clips()[0].read([0.0], (36, 64), 0.1).frames
    [file] = (tmp_path / "images").iterdir()
    assert np.array_equal(source.clips()[0].read([0.0], (36, 64), 0.1).frames, first)
    composed = Stills(str(root), count=2).clips()[0].read([0.0], (36, 64), 0.1).frames
    assert np.abs(first.astype(int) - composed).mean() < 3  # JPEG
    Image.new("RGB", SIZE, (9, 9, 9)).save(file)
    assert (source.clips()[0].read([0.0], (36, 64), 0.1).frames == 9).all()


def test_sounds_are_the_recordings_of_the_class(root: Path) -> None:
    materials = FromFiles(str(root), "train")
    for number in range(6):
        wave = play(materials, "class1", 8000, rng_of(number))
        assert wave.shape == (8000,) and wave.dtype == np.float32 and np.abs(wave).max() <= 1
        assert 0.003 < np.sqrt((wave**2).mean()) < 0.2


def test_all_files_or_those_of_a_split(root: Path) -> None:
    train, test, every = ({row[:2] for row in FromFiles(str(root), split).files} for split in ("train", "test", "all"))  # type: ignore[arg-type]
    assert train | test <= every and train != every and ("class0", "1.png") in test - train


def test_wrong_arguments_are_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Stills(str(root), count=0)
    with pytest.raises(ConfigError, match="segments 0 of Stills"):
        Stills(str(root), segments=0)
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        Stills(str(root / "missing")).clips()
