"""Principal components: exact directions, the product with a layer above them, stored features, and what is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained import EfficientNetLite0, PrincipalComponents
from tavlo_pl.nn.pretrained.principal_components import find_components, without_components
from tavlo_pl.nn.pretrained.training import random_parts

FRAMES = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def correlated(count: int) -> list[torch.Tensor]:
    """Features of 6 channels with variances 9, 4, 1 along three orthogonal directions, and a mean."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q[:, :3]
    scores = torch.randn(count, 3, 8, 8, generator=generator) * torch.tensor([3.0, 2.0, 1.0])[:, None, None]
    return list((torch.einsum("dk,nkhw->ndhw", directions, scores) + 5).split(3))


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    features = correlated(40)
    found, share = find_components(features, 2)
    rows = torch.cat(features).movedim(1, -1).flatten(0, -2).double()
    _, values, directions = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    weight = found["weight"].flatten(1).double()
    torch.testing.assert_close((weight @ directions[:2].T).abs(), torch.eye(2, dtype=torch.float64), atol=1e-3, rtol=0)
    assert share == pytest.approx(float(values[:2].square().sum() / values.square().sum()), abs=1e-4)
    assert 0.9 < share < 0.95  # 13 of 14
    scores = rows @ weight.T + found["bias"]
    torch.testing.assert_close(scores.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_nothing_and_too_many_components_are_refused() -> None:
    with pytest.raises(ConfigError, match="0 cells"):
        find_components([], 1)
    with pytest.raises(ConfigError, match="7 components"):
        find_components(correlated(3), 7)


def wrapped(tmp_path: Path, cache: str | None = None) -> PrincipalComponents:
    """8 components of a random encoder, the same in each call."""
    torch.manual_seed(0)
    encoder, file = EfficientNetLite0((16, 32), cell=32).eval(), tmp_path / "components.safetensors"
    save_file(find_components([encoder(FRAMES)], 8)[0], file)
    return PrincipalComponents(encoder, 8, str(file), cache)


def test_the_layer_above_can_be_merged(tmp_path: Path) -> None:
    encoder = wrapped(tmp_path)
    assert encoder.width == 8 and encoder.stride == 32 and encoder.shift == 0
    model = nn.ModuleDict({"visual": encoder, "project": nn.Conv2d(8, 5, 1)})
    plain = nn.ModuleDict({"visual": EfficientNetLite0((16, 32), cell=32).eval(), "project": nn.Conv2d(432, 5, 1)})
    plain.load_state_dict(without_components(model.state_dict(), "visual", "project"))
    maps = [one["project"](one["visual"](FRAMES)) for one in (model, plain)]
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-4, atol=1e-5)


def test_components_are_stored_and_found_again(tmp_path: Path) -> None:
    plain, cache = wrapped(tmp_path)(FRAMES), str(tmp_path / "cache")
    first, again = wrapped(tmp_path, cache), wrapped(tmp_path, cache)
    assert plain.shape == (2, 8, 2, 2)
    torch.testing.assert_close(first(FRAMES), plain, rtol=2e-3, atol=2e-3)
    assert torch.equal(again(FRAMES), first(FRAMES)) and len(again.cache) == 2
    (stored,) = (tmp_path / "cache").glob("*/*.f16")
    assert stored.stat().st_size == 2 * 8 * 2 * 2 * 2  # frames, components, cells, bytes


def test_it_stays_frozen_and_in_evaluation(tmp_path: Path) -> None:
    model = wrapped(tmp_path).train()
    assert not any(value.requires_grad for value in model.parameters())
    assert not any(part.training for part in model.trunk[0].trunk.modules())
    assert random_parts(model) == ["trunk.0"]  # of the encoder only


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="its encoder is trained"):
        PrincipalComponents(EfficientNetLite0((32,), trained="all"))
    with pytest.raises(ConfigError, match="give 1 to 320"):
        PrincipalComponents(EfficientNetLite0((32,)), 321)
    wrapped(tmp_path)
    with pytest.raises(CheckpointError, match="not the weights of this network"):
        PrincipalComponents(EfficientNetLite0((32,)), 8, str(tmp_path / "components.safetensors"))
