"""Weights with the names and shapes of the authors' files load into our models; other files raise an error."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torchvision.models import resnet18

from tavlo_pl.errors import CheckpointError
from tavlo_pl.models.ezvsl import EZVSL
from tavlo_pl.models.fnac import FNAC
from tavlo_pl.models.image_level import ImageLevel
from tavlo_pl.models.lvs import LVS
from tavlo_pl.models.released import Renaming, load_released
from tavlo_pl.models.slavc import SLAVC
from tavlo_pl.models.ssltie import SSLTIE
from tavlo_pl.models.weights_file import read_plain, write_safe
from tavlo_pl.nn.clip_audio import AudioResNet18, SmallAudio
from tavlo_pl.nn.visual import ResNet18, ShuffleNet
from tests.helpers.cli import tavlo
from tests.helpers.run import data_config


def shapes(prefix: str, first_layers: dict[str, int], classifier: bool) -> dict[str, tuple[int, ...]]:
    """Shapes of a torchvision ResNet-18 by name, with first layers of the given numbers of channels."""
    with torch.device("meta"):
        names = {key: tuple(value.shape) for key, value in resnet18().state_dict().items()}
    kept = {key: size for key, size in names.items() if key != "conv1.weight" and (classifier or key[:2] != "fc")}
    kept |= {f"{name}.weight": (64, channels, 7, 7) for name, channels in first_layers.items()}
    return {f"{prefix}.{key}": size for key, size in kept.items()}


def heads(numbers: tuple[str, ...], prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Shapes of the projections of both modalities by name."""
    sizes: dict[str, tuple[int, ...]] = {}
    for number in numbers:
        sizes |= {f"{prefix}img_proj{number}.weight": (512, 512, 1, 1), f"{prefix}img_proj{number}.bias": (512,)}
        sizes |= {f"{prefix}aud_proj{number}.weight": (512, 512), f"{prefix}aud_proj{number}.bias": (512,)}
    return sizes


def pair(prefix: str = "") -> dict[str, tuple[int, ...]]:
    return shapes(f"{prefix}imgnet", {"conv1": 3}, False) | shapes(f"{prefix}audnet", {"conv1": 1}, False)


AVE_NET = {
    key: size
    for net in ("imgnet", "audnet")
    for key, size in shapes(net, {"conv1": 3, "conv1_a": 1, "conv1_flow": 6}, True).items()
}
MORE = {"vision_fc1.weight": (512, 1024, 1, 1), "vision_fc1.bias": (512,), "conv3.weight": (1, 1, 1, 1)}
MORE |= {"conv3.bias": (1,), "norm3.weight": (1,), "norm3.bias": (1,), "norm3.running_mean": (1,)}
RELEASED = [
    (EZVSL, 32, "model", pair() | heads(("",))),
    (FNAC, 32, "model", pair() | heads(("",))),
    (SLAVC, 32, "model", pair() | pair("momentum_") | heads(("1", "2")) | heads(("1", "2"), "momentum_")),
    (LVS, 16, "model_state_dict", AVE_NET),
    (SSLTIE, 16, "state_dict", AVE_NET | MORE),
]


def weights(sizes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Constant tensors whose value is their position in the table; each is stored as one number."""
    return {key: torch.tensor(float(position)).expand(size) for position, (key, size) in enumerate(sizes.items())}


@pytest.mark.parametrize(
    ("peer", "stride", "container", "sizes"), RELEASED, ids=lambda v: v.__name__ if isinstance(v, type) else ""
)
def test_released_weights_fill_every_weight(
    peer: type[ImageLevel], stride: int, container: str, sizes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    released = weights(sizes)
    file = tmp_path / "best.pth"
    torch.save({container: {f"module.{key}": value for key, value in released.items()}, "epoch": 3}, file)
    model = peer(ResNet18("none", stride), AudioResNet18(), init_from=str(file))  # type: ignore[arg-type,call-arg]
    state = {key: value for key, value in model.state_dict().items() if "num_batches" not in key}
    assert all(value.amin() == value.amax() for value in state.values())  # all are loaded
    positions = [value.flatten()[0].item() for value in state.values()]
    assert len(set(positions)) == len(positions)  # none is loaded twice
    image_key, audio_key = "imgnet.layer3.0.downsample.1.running_var", "audnet.bn1.weight"
    prefix = "trained." if peer is SLAVC else ""
    assert torch.equal(state[f"{prefix}visual.trunk.6.0.downsample.1.running_var"], released[image_key])
    assert torch.equal(state[f"{prefix}audio.trunk.1.weight"], released[audio_key])
    if peer is SLAVC:
        assert torch.equal(state["momentum_encoder.instance.audio.bias"], released["momentum_aud_proj2.bias"])


def test_load_names_missing_unknown_and_misshapen_weights(tmp_path: Path) -> None:
    sizes = pair() | heads(("",)) | {"img_proj.bias": (3,), "extra.weight": (2,)}
    del sizes["aud_proj.bias"]
    file = tmp_path / "best.pth"
    torch.save({"model": weights(sizes)}, file)
    with pytest.raises(CheckpointError) as raised:
        EZVSL(ResNet18("none"), AudioResNet18(), init_from=str(file))
    for words in ("missing: head.audio.bias;", "unknown: extra.weight;", "of another shape: head.visual.bias)"):
        assert words in str(raised.value)
    with pytest.raises(CheckpointError, match="of another shape"):
        EZVSL(ShuffleNet(), SmallAudio(8), init_from=str(file))


def test_load_released_reads_safetensors(tmp_path: Path) -> None:
    released, model = nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2))
    names = Renaming({"net.": "0."})
    write_safe({f"net.{key}": value for key, value in released.state_dict().items()}, {}, tmp_path / "x.safetensors")
    load_released(model, str(tmp_path / "x.safetensors"), names)
    assert torch.equal(model[0].weight, released.weight)
    content = (tmp_path / "x.safetensors").read_bytes()
    for bad in (b"", content[:-4], b"\xff" * 8 + content[8:], content[:8] + b"[" * 5_000, b"<html>" * 9):
        (tmp_path / "bad.safetensors").write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"init_from .*bad\.safetensors cannot be read: "):
            load_released(model, str(tmp_path / "bad.safetensors"), names)


def test_load_rejects_other_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    for make, words in (
        (lambda: None, "no such file"),
        (lambda: file.write_text("<html>"), "cannot be read"),
        (lambda: torch.save([1, 2], file), "no table of weights"),
        (lambda: torch.save({"model": {"a": 1}}, file), "no table of weights"),
    ):
        make()
        with pytest.raises(CheckpointError, match=words):
            LVS(ShuffleNet(), SmallAudio(116), init_from=str(file))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_run_from_released_weights_needs_their_file_only_once(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders = {
        "visual": {"class_path": "tavlo_pl.nn.visual.ShuffleNet"},
        "audio": {"class_path": "tavlo_pl.nn.clip_audio.SmallAudio"},
    }
    config = tmp_path / "ezvsl.yaml"
    trainer = {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False}
    model = {"class_path": "tavlo_pl.models.ezvsl.EZVSL", "init_args": encoders}
    config.write_text(yaml.safe_dump({"model": model, "data": data_config(world), "trainer": trainer}))
    start = ["--model.init_args.init_from", "best.pth"]
    missing = tavlo("test", "-c", config, *start, "--out", tmp_path / "as_released")
    assert missing.code == 2 and missing.err.startswith("tavlo test: model.init_from best.pth: no such file")
    loaded: list[str] = []
    monkeypatch.setattr("tavlo_pl.models.image_level.load_released", lambda model, file, names: loaded.append(file))
    assert tavlo("test", "-c", config, *start, "--out", tmp_path / "as_released").code == 0
    assert tavlo("fit", "-c", config, *start, "--out", tmp_path / "run").code == 0
    assert loaded == ["best.pth", "best.pth"]
    assert "init_from: best.pth" in (tmp_path / "run/config.yaml").read_text()
    assert tavlo("test", "--ckpt_path", tmp_path / "run/checkpoints/best.ckpt").code == 0
    assert len(loaded) == 2


def test_weights_are_stored_in_16_bits_where_that_is_exact(tmp_path: Path) -> None:
    exact, other = torch.tensor([0.5, -3.0]), torch.tensor([0.1, 1.0])
    write_safe({"exact": exact, "other": other}, {}, tmp_path / "x.safetensors")
    stored = read_plain(tmp_path / "x.safetensors", "")["state_dict"]
    assert stored["exact"].dtype == torch.float16 and stored["other"].dtype == torch.float32
    assert torch.equal(stored["exact"].float(), exact) and torch.equal(stored["other"], other)
