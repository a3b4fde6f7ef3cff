"""Untrusted files that would execute code or use too much memory."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.config import security
from tavlo_pl.errors import CheckpointError, ConfigError
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A checkpoint that creates the folder ``owned`` beside it when it is unpickled."""
    torch.save({"state_dict": {}, "bomb": Bomb(tmp_path / "owned")}, tmp_path / "bomb.ckpt")
    return tmp_path / "bomb.ckpt"


def assert_refused(outcome: Outcome, message: str, folder: Path) -> None:
    """Asserts exit code 2, one error message, and that no code was executed."""
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (folder / "owned").exists()


def named(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


def loaded(bomb: Path) -> dict[str, Any]:
    """A call in an untrusted configuration."""
    return named("torch.load", f=str(bomb), weights_only=False)


def lightning(path: str, **arguments: Any) -> dict[str, Any]:
    return named(f"lightning.pytorch.{path}", **arguments)


CALLS = {
    "as a callback": lambda load: {"callbacks": [load]},
    "as a logger": lambda load: {"logger": load},
    "as a strategy": lambda load: {"strategy": load},
    "as a plugin": lambda load: {"plugins": [load]},
    "in place of a function": lambda load: {"callbacks": [lightning("callbacks.LambdaCallback", on_fit_start=load)]},
    "as the path of a function": lambda load: {
        "callbacks": [lightning("callbacks.LambdaCallback", on_fit_start="torch.hub.load")]
    },
    "for an untyped option": lambda load: {"strategy": lightning("strategies.DDPStrategy", ddp_comm_state=load)},
    "in dict_kwargs": lambda load: {
        "callbacks": [lightning("callbacks.WeightAveraging") | {"dict_kwargs": {"multi_avg_fn": load}}]
    },
    "nested in dict_kwargs": lambda load: {
        "logger": lightning("loggers.TensorBoardLogger", save_dir=".") | {"dict_kwargs": {"a": [{"b": [load]}]}}
    },
    "a class of another kind": lambda load: {
        "callbacks": [lightning("callbacks.LambdaCallback", on_fit_start=named("torch.fx.Tracer"))]
    },
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_config_calls_no_function(world: Path, tmp_path: Path, bomb: Path, call: Any) -> None:
    config = tiny_config(world, tmp_path, max_steps=1, **call(loaded(bomb)))
    assert_refused(tavlo("fit", "-c", config, "--out", tmp_path / "out"), "torch", tmp_path)


@pytest.mark.parametrize("option", ["optimizer", "lr_scheduler"])
@pytest.mark.parametrize("path", ["torch.load", "torch.nn.Linear"])
def test_optimizer_cannot_be_anything_else(world: Path, tmp_path: Path, bomb: Path, option: str, path: str) -> None:
    content = yaml.safe_load(tiny_config(world, tmp_path).read_text())
    content |= {"optimizer": named("torch.optim.SGD", lr=0.1), option: loaded(bomb) | {"class_path": path}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    assert_refused(tavlo("fit", "-c", tmp_path / "tiny.yaml", "--out", tmp_path / "out"), path, tmp_path)


def test_scheduler_calls_no_function(world: Path, tmp_path: Path, bomb: Path) -> None:
    content = yaml.safe_load(tiny_config(world, tmp_path).read_text())
    content["optimizer"] = named("torch.optim.SGD", lr=0.1)
    content["lr_scheduler"] = named("torch.optim.lr_scheduler.LambdaLR", lr_lambda=loaded(bomb))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    assert_refused(tavlo("fit", "-c", tmp_path / "tiny.yaml", "--out", tmp_path / "out"), "torch", tmp_path)


@pytest.mark.parametrize("path", ["tavlo_pl.models.base.AVLocalizer.load_from_checkpoint", "torch.load"])
def test_model_cannot_be_a_function(world: Path, tmp_path: Path, bomb: Path, path: str) -> None:
    content = yaml.safe_load(tiny_config(world, tmp_path).read_text())
    content["model"] = named(path, checkpoint_path=str(bomb), weights_only=False)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    name = path.rpartition(".")[2]
    assert_refused(tavlo("fit", "-c", tmp_path / "tiny.yaml", "--out", tmp_path / "out"), name, tmp_path)


@pytest.mark.parametrize("content", ["[1, 2]", "model: {class_path: 3}", "!!python/name:os.system", "a: &a [*a]"])
def test_localize_names_a_checkpoint_with_odd_config(tmp_path: Path, content: str) -> None:
    torch.save({"state_dict": {}, "tavlo": {"config": content}}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match=r"odd\.ckpt: its model cannot be created: "):
        tavlo_pl.localize(tmp_path / "clip.mp4", checkpoint=tmp_path / "odd.ckpt")


def test_localize_unpickles_no_objects(tmp_path: Path, bomb: Path) -> None:
    with pytest.raises(CheckpointError, match=r"bomb\.ckpt cannot be read as a checkpoint: it contains objects whose"):
        tavlo_pl.localize(tmp_path / "clip.mp4", checkpoint=bomb)
    assert not (tmp_path / "owned").exists()


def test_released_weights_run_no_code(world: Path, tmp_path: Path, bomb: Path) -> None:
    model = ("--model", "tavlo_pl.models.ezvsl.EZVSL", "--model.visual", "tavlo_pl.nn.visual.ShuffleNet")
    model += ("--model.audio", "tavlo_pl.nn.clip_audio.SmallAudio", "--model.init_from", bomb)
    config = tiny_config(world, tmp_path)
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"model": None}))
    outcome = tavlo("test", "-c", config, *model, "--out", tmp_path / "out")
    assert_refused(outcome, f"init_from {bomb} cannot be read", tmp_path)


def test_scripted_module_is_no_checkpoint(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Identity()).save(str(tmp_path / "code.ckpt"))
    outcome = tavlo("test", "--ckpt_path", tmp_path / "code.ckpt", "--out", tmp_path / "out")
    assert_refused(outcome, "code.ckpt cannot be read as a checkpoint", tmp_path)


def test_data_commands_import_known_packages_only(tmp_path: Path) -> None:
    args = ("data", "shard", "--out", tmp_path / "out", "--source")
    outcome = tavlo(*args, "antigravity.Flight")
    assert_refused(outcome, "names antigravity.Flight", tmp_path)
    assert "--allow_import antigravity" in outcome.err
    outcome = tavlo(*args, "tests.helpers.tiny.NoSuchSource", "--allow_import", "tests")
    assert_refused(outcome, "NoSuchSource", tmp_path)
    assert "is not allowed" not in outcome.err


def test_allow_import_holds_for_one_command(world: Path, tmp_path: Path) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path), "--print_config")
    assert tavlo(*args).code == 0  # `tests.helpers.cli.tavlo` allows the package tests
    outcome = tavlo(*args, "--allow_import", "elsewhere")
    assert_refused(outcome, "names tests.helpers.tiny.Tiny", tmp_path)
    outcome = tavlo(*args, "--allow_import", "jsonargparse")
    assert_refused(outcome, "--allow_import takes package names", tmp_path)


def test_allowed_function_is_called(world: Path, tmp_path: Path) -> None:
    hook = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"
    config = tiny_config(
        world, tmp_path, strategy=lightning("strategies.DDPStrategy", ddp_comm_hook=f"{hook}.fp16_compress_hook")
    )
    content = yaml.safe_load(printed_config(config, hook))
    assert content["trainer"]["strategy"]["init_args"]["ddp_comm_hook"].endswith("fp16_compress_hook")
    assert_refused(tavlo("fit", "-c", config, "--out", tmp_path / "out"), f"--allow_import {hook}", tmp_path)


def printed_config(config: Path, hook: str) -> str:
    outcome = tavlo("fit", "-c", config, "--print_config", "--allow_import", "tests", hook)
    assert outcome.code == 0, outcome.err
    return outcome.out


REPEATED = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: " + "[" * 100_000, "32 levels"),
        ("trainer: " + "{a: " * 2_000 + "1" + "}" * 2_000, "32 levels"),
        (REPEATED + "trainer: {callbacks: *a11}", "100,000 values"),
        ("trainer: &t {callbacks: *t}", "stands inside its own anchor"),
        (f"trainer: {{callbacks: '{'[' * 100_000}'}}", "32 levels"),
        (f"data: {{augment: '{'- ' * 100_000}'}}", "32 levels"),
        (yaml.safe_dump({"trainer": {"logger": REPEATED}}), "100,000 values"),
        ("seed_everything: " + "9" * 4_500, "4300 digits"),
        ("!!python/object/apply:os.mkdir [owned]", "could not determine a constructor"),
        ("model: a\0b", "control characters"),
        (b"\x80\xfe\x00\x01", "no text in UTF-8"),
    ],
    ids=[
        "deep list",
        "deep map",
        "repeated",
        "cyclic",
        "word",
        "word 2",
        "word 3",
        "digits",
        "object",
        "null",
        "binary",
    ],
)
def test_config_beyond_the_limits_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    (tmp_path / "odd.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_refused(tavlo("fit", "-c", tmp_path / "odd.yaml", "--out", tmp_path / "out"), message, tmp_path)
    assert_refused(tavlo("data", "audit", "--config", tmp_path / "odd.yaml"), message, tmp_path)


def test_config_cannot_set_overwrite(world: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("config.yaml", "other.csv"):
        (tmp_path / "out" / name).write_text("unchanged")
    config = tiny_config(world, tmp_path)
    config.write_text(f"{config.read_text()}overwrite: true\nout: {tmp_path / 'out'}\n")
    assert_refused(tavlo("fit", "-c", config), "is not empty", tmp_path)
    assert (tmp_path / "out" / "other.csv").read_text() == "unchanged"


def test_kinds_are_classes_of_lightning_and_torch() -> None:
    """Fails if Lightning moves a class, since configurations that name it would be rejected."""
    from lightning.pytorch import accelerators, callbacks, loggers, plugins, profilers, strategies
    from lightning.pytorch.cli import ReduceLROnPlateau

    for kind in (callbacks.Timer, loggers.CSVLogger, profilers.SimpleProfiler, strategies.DDPStrategy):
        security.check_named({"class_path": f"{kind.__module__}.{kind.__qualname__}"})
    for kind in (accelerators.CPUAccelerator, plugins.MixedPrecision, plugins.TorchCheckpointIO, torch.nn.Linear):
        security.check_named([{"class_path": f"{kind.__module__}.{kind.__qualname__}"}])
    for kind in (torch.optim.AdamW, torch.optim.lr_scheduler.StepLR, ReduceLROnPlateau):
        security.check_named({"class_path": f"{kind.__module__}.{kind.__qualname__}"})
    for place in security.KINDS:
        module, _, name = place.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), place
    with pytest.raises(ConfigError, match=r"names torch\.serialization\.load"):
        security.check_named({"a": [torch.load]})
