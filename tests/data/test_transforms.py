from typing import Any

import numpy as np
import pytest
import torch

from tavlo_pl.data.transforms import Augment
from tavlo_pl.errors import ConfigError


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
