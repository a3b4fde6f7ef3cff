"""The baseline sound tag -> class -> image."""

from functools import cache

import numpy as np
import pytest
import torch

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import ConfigError
from tavlo_pl.models.sound_tag import SoundTag, same_names
from tavlo_pl.nn.pretrained.class_activation import image_classes
from tavlo_pl.nn.pretrained.yamnet import sound_classes
from tests.helpers.shared import shared_file


def test_classes_are_matched_by_name() -> None:
    images = ["tabby cat", "violin", "electric guitar", "acoustic guitar", "sea lion", "hen"]
    found = same_names(("Cat", "Violin, fiddle", "Electric guitar", "Guitar", "Wind (noise)"), images)
    assert found.tolist() == [
        [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0],
    ]  # fmt: skip
    assert 90 < int(same_names(sound_classes(), image_classes()).any(1).sum()) < 120


@cache
def trained() -> SoundTag:
    """The baseline with the released weights."""
    files = [str(shared_file("weights", f"{name}.safetensors")) for name in ("efficientnet_lite0", "yamnet")]
    return SoundTag(*files).train()


def test_the_map_is_the_class_of_the_sound_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    assert not any(module.training for module in model.images.modules())
    golden = np.load(shared_file("weights", "efficientnet_lite0_golden.npz"))
    image = torch.from_numpy(golden["image"]).permute(2, 0, 1)
    frames = torch.cat([image, torch.full_like(image, 127)], dim=2)[None, None]  # the object is on the left
    seen = image_classes()[int(golden["logits"].argmax())]
    heard = torch.zeros(1, 1, len(sound_classes()))
    monkeypatch.setattr(model.sounds, "classify", lambda *_: heard)
    assert not model.localize(frames, torch.zeros(1, 1, 16_000, 1)).any()
    pairs = torch.zeros_like(model.pairs)
    pairs[0, image_classes().index(seen)] = 1
    before = model.pairs.clone()
    model.pairs.copy_(pairs)
    heard[0, 0, 0] = 0.8
    with torch.no_grad():
        maps = model.localize(frames, torch.zeros(1, 1, 16_000, 1))[0, 0]
    model.pairs.copy_(before)
    assert maps.shape == (7, 14) and 0.1 < maps.max() <= 0.8
    assert maps.flatten().argmax() % 14 < 7 and maps[:, 8:].max() < 0.05


def test_weights_are_needed() -> None:
    with pytest.raises(ConfigError, match="both files of weights"):
        SoundTag()


def test_silence_has_no_map() -> None:
    model = trained()
    frames = torch.randint(0, 256, (1, 2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        maps = model.localize(frames, WaveformColumns(2)(torch.zeros(1, 16_000)))
    assert maps.max() < 0.05
