from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.transforms import Augment
from tavlo_pl.errors import ConfigError
from tests.helpers.trees import instance, write_avatar


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def frames(size: int = 40, count: int = 4) -> torch.Tensor:
    """The same image in all frames, another value in each pixel."""
    image = torch.arange(3 * size * size).reshape(3, size, size) * 7 % 251
    return image.to(torch.uint8).expand(count, -1, -1, -1)


def test_nothing_is_changed_unless_asked_for() -> None:
    augment, sound, spectrogram = Augment(), torch.randn(100), torch.randn(1, 8, 20)
    assert augment.read_size(224) == 224
    assert (augment.transform_frames(frames(), 40, rng()) == frames()).all()
    assert (augment.transform_audio(sound, rng()) == sound).all()
    assert not augment.has_masks
    assert (augment.mask_spectrogram(spectrogram, 10.0, rng()) == spectrogram).all()


@pytest.mark.parametrize("options", [{"crop_scale": 0.3}, {"colour": 0.4}, {"hue": 0.2}])
def test_all_frames_of_a_clip_change_alike(options: dict[str, Any]) -> None:
    augment = Augment(**options)
    changed = (
        augment.transform_frames(frames(), 24, rng())
        if "crop_scale" in options
        else augment.transform_frames(frames(), 40, rng())
    )
    assert (changed == changed[:1]).all()
    assert changed.dtype is torch.uint8
    same, other = (augment.transform_frames(frames(), changed.shape[-1], rng(seed)) for seed in (0, 1))
    assert (changed == same).all()
    assert (changed != other).any()


def test_a_crop_is_a_part_of_the_image_of_at_least_its_share() -> None:
    augment = Augment(crop_scale=0.25)
    assert augment.read_size(20) == 40
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    image = torch.stack([x, y, x * 0]).to(torch.uint8)[None]
    areas = []
    for seed in range(60):
        crop = augment.transform_frames(image, 20, rng(seed))[0].float()
        width, height = crop[0, 0, -1] - crop[0, 0, 0], crop[1, -1, 0] - crop[1, 0, 0]
        areas.append(float(width * height) / 39**2)
    assert 0.15 < min(areas) < 0.4
    assert max(areas) > 0.8


def test_gain_is_in_decibels() -> None:
    louder = [float(Augment(gain_db=6.0).transform_audio(torch.ones(1), rng(seed))) for seed in range(200)]
    assert 0.5 < min(louder) < 0.55
    assert 1.85 < max(louder) < 2.0


def test_masks_are_no_wider_than_asked_for_and_take_the_mean() -> None:
    spectrogram = torch.randn(1, 16, 100)
    columns, bands = set(), set()
    for seed in range(100):
        masked = Augment(mask_time_s=2.0, mask_bands=5).mask_spectrogram(spectrogram, 10.0, rng(seed))
        changed = (masked != spectrogram)[0]
        columns.add(int(changed.all(0).sum()))
        bands.add(int(changed.all(1).sum()))
        assert torch.allclose(masked[0][changed], spectrogram.mean())
    assert (min(columns), max(columns)) == (0, 20)
    assert (min(bands), max(bands)) == (0, 5)


@pytest.mark.parametrize("options", [{"crop_scale": 0.0}, {"colour": 1.5}, {"hue": 0.6}, {"gain_db": -1.0}])
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Augment(**options)  # type: ignore[arg-type]


def test_training_segments_have_a_length_of_their_own(tmp_path: Path) -> None:
    clip = ClipSpec(segments=8, duration_s=2.0, image_size=16, mel_bands=16, columns_per_segment=20)
    write_avatar(tmp_path, {"clip_00000": {"00010": [instance()]}})
    clips = AVATAR(str(tmp_path))
    data = ClipDataModule(clips, clips, clip=clip, augment=Augment(segments=1, segment_s=0.5), allow_leak=True)
    data.setup("fit")
    starts = {data.datasets["train"][epoch, 0].clip.start_s for epoch in range(20)}
    assert starts == {0.0, 0.5, 1.0, 1.5}
    part, whole = data.datasets["train"][0, 0], data.datasets["val"][0]
    assert part.frames.shape[0] == 1 and part.waveform.shape == (8_000,)
    assert whole.frames.shape[0] == 8 and whole.waveform.shape == (32_000,)
    for item, columns in ((part, 20), (whole, 160)):
        batch: Any = {"frames": item.frames[None], "waveform": item.waveform[None], "index": torch.zeros(1)}
        assert data.on_after_batch_transfer(batch, 0)["spectrogram"].shape == (1, 1, 16, columns)


@pytest.mark.parametrize(("length", "part"), [(0.3, None), (0.0, None), (float("nan"), None), (0.5, 3)])
def test_training_segments_fill_a_clip(length: float, part: int | None) -> None:
    with pytest.raises(ConfigError, match=r"data\.augment\.segment"):
        ClipDataModule(clip=ClipSpec(segments=2, duration_s=1.0), augment=Augment(segments=part, segment_s=length))
