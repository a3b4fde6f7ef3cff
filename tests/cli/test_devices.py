"""Devices that this machine does not have, and what a device without float64 gets."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators import MPSAccelerator
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tavlo_pl.data.spectrogram import LogMel, WaveformColumns
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.pretrained import EfficientNetLite0, YAMNet
from tavlo_pl.run.exit import to_user_error
from tests.helpers.cli import tavlo
from tests.helpers.models import small_tavlo


class NoFloat64(TorchDispatchMode):
    """Fails where an operator returns float64, as MPS does; keeps the names of all operators."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operators.add(func.name().removeprefix("aten::"))
        found = func(*args, **(kwargs or {}))
        assert torch.float64 not in {leaf.dtype for leaf in tree_leaves(found) if isinstance(leaf, Tensor)}, func
        return found


def kernels() -> dict[str, str]:
    """The kernels of every operator as torch declares them, by ``name.overload``."""
    folder = Path(torch.__file__).parents[1] / "torchgen" / "packaged" / "ATen" / "native"
    parts = re.split(r"\n(?=- func: )", (folder / "native_functions.yaml").read_text())
    named = {match[1]: part for part in parts if (match := re.match(r"- func: ([\w.]+)\(", part))}
    delegates = {name: re.search(r"structured_delegate: ([\w.]+)", part) for name, part in named.items()}
    return {name: named[found[1]] if (found := delegates[name]) else part for name, part in named.items()}


def test_absent_accelerator_is_one_sentence(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: False))
    video = next((world / "test" / "video").glob("*.mp4"))
    outcome = tavlo("predict", video, "--out", tmp_path, "--trainer.accelerator", "mps")
    assert outcome.code == 2 and outcome.err.startswith(
        "tavlo predict: --trainer.accelerator mps: this machine has no such device; it has cpu"
    ), outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_absent_operator_names_the_fallback() -> None:
    error = NotImplementedError(
        "The operator 'aten::_foo.out' is not currently implemented for the MPS device. If you want this op, …"
    )
    found = to_user_error(error, "fit", None)
    assert isinstance(found, ConfigError) and "\n" not in str(found)
    assert str(found).startswith("MPS has no aten::_foo.out: set PYTORCH_ENABLE_MPS_FALLBACK=1")


def test_models_compute_with_operators_of_mps() -> None:
    """No float64, and only operators that have a kernel for MPS or consist of others."""
    torch.manual_seed(0)
    frames, waveform = torch.randint(0, 256, (2, 3, 3, 64, 64), dtype=torch.uint8), torch.randn(2, 3 * 8000)
    model, log_mel = small_tavlo().train(), LogMel(3, 25, 32)
    columns = WaveformColumns(3)
    pretrained = EfficientNetLite0(), YAMNet()
    with NoFloat64() as mode:
        spectrogram = log_mel(waveform)
        model.training_loss(frames, spectrogram)["loss"].backward()
        model.eval().localize(frames, spectrogram)
        pretrained[0].eval()(frames[:1, 0])
        pretrained[1].eval()(columns(waveform[:1]), 3)
    known = kernels()
    missing = {
        name
        for name in {each for each in mode.operators if "_for_cpu" not in each}  # attention has one kernel a device
        if "dispatch:" in known[name] and not re.search(r"^    .*\b(MPS|Composite\w+)\b.*:", known[name], re.MULTILINE)
    }
    assert len(mode.operators) > 50 and not missing
