"""Encoders of timm: convolutional networks and transformers, strides, shift, frozen parts, and clear errors."""

import builtins
from typing import Any

import pytest
import torch

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained import TimmEncoder

FRAMES = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "strides", "shifts"),
    [
        ("test_mambaout", (16,), range(5, 9)),  # symmetric padding: half a stride
        ("test_efficientnet", (8, 16), range(2, 5)),
        ("test_convnext", (16,), range(-1, 2)),  # patches that do not overlap
        ("test_vit", (16,), range(1)),
    ],
)
def test_networks_by_name(name: str, strides: tuple[int, ...], shifts: range) -> None:
    torch.manual_seed(0)
    size = 64 if "vit" in name else None
    encoder = TimmEncoder(name, strides, image_size=size).eval()
    with torch.no_grad():
        found = encoder(FRAMES)
    assert found.shape == (2, encoder.width, 64 // strides[0], 64 // strides[0])
    assert encoder.shift in shifts
    assert not any(p.requires_grad for p in encoder.parameters())


def test_pixels_are_normalised_as_the_weights_need_them() -> None:
    encoder = TimmEncoder("vit_tiny_patch16_224.augreg_in21k", image_size=64)
    assert encoder.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    grey = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    assert torch.equal(encoder.pixels(grey), torch.ones(1, 3, 64, 64))


def test_the_last_stages_are_trained() -> None:
    encoder = TimmEncoder("test_vit", image_size=64, trained=2).train()
    trained = {name.split("blocks.")[1].split(".")[0] for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {"4", "5"}


def test_errors_name_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="no network 'resnet_of_nobody'"):
        TimmEncoder("resnet_of_nobody")
    with pytest.raises(ConfigError, match=r"\[2, 4, 8, 16, 32\]"):
        TimmEncoder("test_resnet", (5,))
    with pytest.raises(CheckpointError, match="timm cannot create it"):
        TimmEncoder("test_resnet", (16,), weights=f"{tmp_path}/missing.pth")

    def without_timm(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "timm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr("tavlo_pl.io.extras.import_module", without_timm)
    with pytest.raises(ConfigError, match=r"pip install 'tavlo_pl\[timm\]'"):
        TimmEncoder("test_resnet")
