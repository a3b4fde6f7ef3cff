"""Stored features: found by content, kept apart by weights, exact to 16 bits, and refused for trained encoders."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.pretrained import EfficientNetLite0, YAMNet
from tavlo_pl.nn.pretrained.cache import FeatureCache

FRAMES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Counting:
    """Mean colours, with the number of frames that were computed."""

    def __init__(self) -> None:
        self.computed = 0

    def __call__(self, frames: Tensor) -> Tensor:
        self.computed += len(frames)
        return frames.float().mean((2, 3))


def opened(folder: Path, encoder: torch.nn.Module) -> FeatureCache:
    cache = FeatureCache(str(folder), "none")
    cache.open(encoder, "")
    return cache


def test_each_input_is_computed_once(tmp_path: Path) -> None:
    encoder, mean = torch.nn.Linear(2, 2), Counting()
    cache = opened(tmp_path, encoder)
    first = cache.get(FRAMES[[0, 1, 0]], mean)
    assert mean.computed == 2 and torch.equal(first[0], first[2])
    torch.testing.assert_close(first, FRAMES[[0, 1, 0]].float().mean((2, 3)), rtol=1e-3, atol=0)
    again, mean = opened(tmp_path, encoder), Counting()  # as another process
    assert torch.equal(again.get(FRAMES[[1, 0]], mean), first[[1, 0]])
    assert mean.computed <= 1  # the shape of a feature
    again.get(FRAMES[[2, 1]], mean)
    assert len(again) == 3 and torch.equal(again.get(FRAMES[[1, 2]], mean)[0], first[1])


def test_other_weights_get_no_stored_features(tmp_path: Path) -> None:
    torch.manual_seed(0)
    opened(tmp_path, torch.nn.Linear(2, 2)).get(FRAMES, Counting())
    assert len(opened(tmp_path, torch.nn.Linear(2, 2))) == 0


def test_a_key_without_features_does_not_exist_after_a_kill(tmp_path: Path) -> None:
    encoder = torch.nn.Linear(2, 2)
    opened(tmp_path, encoder).get(FRAMES, Counting())
    (features,) = tmp_path.glob("*/*.f16")
    with features.open("ab") as file:  # written, but killed before the key
        file.write(b"\0\0")
    found = opened(tmp_path, encoder)
    assert torch.equal(found.get(FRAMES, Counting()), opened(tmp_path, encoder).get(FRAMES, Counting()))


def test_encoders_give_the_same_features_with_a_cache(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, cached = EfficientNetLite0((16,)).eval(), EfficientNetLite0((16,), cache=str(tmp_path)).eval()
    cached.load_state_dict(plain.state_dict())
    with torch.no_grad():
        wanted = plain(FRAMES)
        for _ in range(2):
            torch.testing.assert_close(cached(FRAMES), wanted, rtol=2e-3, atol=1e-3)
    audio = YAMNet(cache=str(tmp_path)).eval()
    columns = 0.1 * torch.randn(1, 1, 8000, 4)
    with torch.no_grad():
        assert torch.equal(audio(columns, 4), audio(columns, 4))
    assert len(list(tmp_path.glob("*/*.keys"))) == 2
    with pytest.raises(ConfigError, match="set trained to none"):
        YAMNet(trained="all", cache=str(tmp_path))
