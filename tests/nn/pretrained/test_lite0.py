"""EfficientNet-lite0: golden values, several strides, and frozen blocks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained import EfficientNetLite0
from tests.helpers.shared import shared_file


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_golden_values(stride: int) -> None:
    golden = np.load(shared_file("weights", "efficientnet_lite0_golden.npz"))
    encoder = EfficientNetLite0((stride,), str(shared_file("weights", "efficientnet_lite0.safetensors"))).eval()
    image = torch.from_numpy(golden["image"]).permute(2, 0, 1)[None]
    wanted = golden[f"stride{stride}"]
    with torch.no_grad():
        found = encoder(image).numpy()
    assert encoder.pretrained
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_head_gives_the_classes_of_the_golden_image() -> None:
    golden = np.load(shared_file("weights", "efficientnet_lite0_golden.npz"))
    file = shared_file("weights", "efficientnet_lite0.safetensors")
    encoder = EfficientNetLite0((16, 32), str(file), head=True).eval()
    image = torch.from_numpy(golden["image"]).permute(2, 0, 1)[None]
    classifier = load_file(file)
    with torch.no_grad():
        head = encoder(image)[:, 112:]
        assert head.shape == (1, 1280, 14, 14)
        pooled = head.mean((-2, -1))  # of a map that is resampled from 7 x 7 to 14 x 14 cells
        logits = pooled @ classifier["_fc.weight"].float().T + classifier["_fc.bias"].float()
    assert logits.argmax() == golden["logits"].argmax()
    assert np.abs(logits.numpy() - golden["logits"]).max() < 0.1 * np.abs(golden["logits"]).max()


def test_strides_become_one_map() -> None:
    torch.manual_seed(0)
    encoder = EfficientNetLite0((8, 16, 32)).eval()
    frames = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        found = encoder(frames)
        fine = EfficientNetLite0((8,)).eval()
        fine.load_state_dict({k: v for k, v in encoder.state_dict().items() if k in fine.state_dict()})
        assert torch.equal(fine(frames), found[:, :40])
    assert found.shape == (2, encoder.width, 8, 12) and encoder.width == 40 + 112 + 320


def test_finer_features_are_averaged_over_a_cell(tmp_path: Path) -> None:
    torch.manual_seed(0)
    coarse = EfficientNetLite0((16, 32), cell=32, cache=str(tmp_path)).eval()
    fine = EfficientNetLite0((16, 32)).eval()
    fine.load_state_dict(coarse.state_dict())
    frames = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        found, again, wanted = coarse(frames), coarse(frames), fine(frames)
    assert found.shape == (2, 432, 2, 3) and coarse.stride == 32 and found.equal(again)
    averaged = wanted[:, :112].unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5))
    assert torch.allclose(found[:, :112], averaged, rtol=0.01, atol=0.01)  # kept with 16 bits


def test_frozen_blocks_and_checkpointing() -> None:
    encoder = EfficientNetLite0((16,), trained=1).train()
    assert {name.split(".")[1] for name, p in encoder.named_parameters() if p.requires_grad} == {"11"}
    assert not encoder.trunk[0][1].training and encoder.trunk[11].training
    encoder.activation_checkpointing = True
    encoder(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).sum().backward()
    assert encoder.trunk[11].bn2.weight.grad is not None


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="8, 16 and 32"):
        EfficientNetLite0((16, 8))
    with pytest.raises(ConfigError, match="cell 8"):
        EfficientNetLite0((16, 32), cell=8)
    with pytest.raises(ConfigError, match="head needs stride 32"):
        EfficientNetLite0((8, 16), head=True)
    with pytest.raises(ConfigError, match="multiples of 32"):
        EfficientNetLite0()(torch.zeros(1, 3, 64, 48, dtype=torch.uint8))
    save_file({"_conv_stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not the weights"):
        EfficientNetLite0(weights=str(tmp_path / "other.safetensors"))
