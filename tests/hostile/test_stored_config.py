"""What the configuration inside a checkpoint may do: set the model and the form of the clips, and nothing else."""

import _posixsubprocess
import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tavlo_pl.config import stored
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.models.base import WITHOUT_FILES
from tavlo_pl.predict.checkpoint import load_localizer, stored_config
from tests.helpers.cli import tavlo
from tests.helpers.run import load, tiny_config
from tests.helpers.tiny import Tiny

pytestmark = pytest.mark.filterwarnings("ignore")

ALLOWED = ("tests",)


def lightning(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"lightning.pytorch.{path}", "init_args": arguments}


SETTINGS: dict[str, dict[str, Any]] = {
    "out": {"out": "elsewhere"},
    "overwrite": {"overwrite": True},
    "monitor": {"monitor": "val/loss"},
    "allow_import": {"allow_import": ["antigravity"]},
    "another checkpoint": {"ckpt_path": "other.ckpt"},
    "CSV logger": {"trainer": {"logger": lightning("loggers.CSVLogger", save_dir="elsewhere")}},
    "TensorBoard logger": {"trainer": {"logger": lightning("loggers.TensorBoardLogger", save_dir="elsewhere")}},
    "HTTP logger": {"trainer": {"logger": lightning("loggers.MLFlowLogger", tracking_uri="http://127.0.0.1:{port}")}},
    "address": {"trainer": {"default_root_dir": "memory://elsewhere"}},
    "profiler by name": {"trainer": {"profiler": "pytorch"}},
    "simple profiler": {"trainer": {"profiler": lightning("profilers.SimpleProfiler", dirpath="elsewhere")}},
    "advanced profiler": {"trainer": {"profiler": lightning("profilers.AdvancedProfiler", dirpath="elsewhere")}},
    "PyTorch profiler": {"trainer": {"profiler": lightning("profilers.PyTorchProfiler", dirpath="elsewhere")}},
    "checkpoints": {"trainer": {"callbacks": [lightning("callbacks.ModelCheckpoint", dirpath="elsewhere")]}},
    "function": {"trainer": {"callbacks": [lightning("callbacks.LambdaCallback", on_test_start="os.abort")]}},
    "devices": {"trainer": {"devices": 200, "accelerator": "cpu"}},
    "nodes": {"trainer": {"num_nodes": 2, "devices": 2}},
    "strategy": {"trainer": {"strategy": lightning("strategies.DDPStrategy", timeout="0:00:01")}},
    "plugins": {"trainer": {"plugins": [lightning("plugins.TorchCheckpointIO")]}},
    "precision": {"trainer": {"precision": "16-true"}},
    "test clips": {"data": {"test": {"class_path": "tavlo_pl.data.datasets.AVATAR", "init_args": {"root": "/"}}}},
    "clips at an address": {"data": {"train": {"class_path": "tavlo_pl.data.shards.Shards", "init_args": {"root": "http://127.0.0.1:{port}"}}}},
    "videos": {"data": {"root": "/"}},
    "processes": {"data": {"num_workers": 10_000}},
    "limits": {"data": {"limits": {"pixels": 10**12}}},
    "optimizer": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}},
    "protocol": {"protocol": "avatar"},
    "layout": {"layout": "avatar", "overlay_videos": True},
    "keys that are numbers": {3: {"a": 1}, None: 2, 2.5: [1]},
}  # fmt: skip
"""Name -> values that a configuration inside a checkpoint states besides the model."""


def merged(one: Any, other: Any) -> Any:
    """Nested maps joined; other values of the second one win."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return one | {key: merged(one[key], value) if key in one else value for key, value in other.items()}


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("run")
    config = yaml.safe_load(tiny_config(world, folder).read_text())
    del config["trainer"]
    (folder / "checkpoints").mkdir()
    about = {"config": yaml.safe_dump(config), "threshold": 0.1}
    torch.save({"state_dict": Tiny().state_dict(), "tavlo": about}, folder / "checkpoints" / "best.ckpt")
    return folder


def with_settings(run: Path, path: Path, settings: dict[str, Any]) -> Path:
    """Writes the run's checkpoint with more in its configuration."""
    content = load(run / "checkpoints" / "best.ckpt")
    config = merged(yaml.safe_load(content["tavlo"]["config"]), settings)
    content["tavlo"]["config"] = yaml.safe_dump(config)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_setting_in_a_checkpoint_is_ignored(run: Path, settings: dict[str, Any]) -> None:
    config = yaml.safe_load(load(run / "checkpoints" / "best.ckpt")["tavlo"]["config"])
    kept = stored.allowed_part(merged(config, settings))
    assert kept == {"model": config["model"], "data": {"clip": config["data"]["clip"]}, "seed_everything": 3}


PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "fork_exec")
EVENTS = (*PROCESSES, "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "os.mkdir", "os.rename")
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@contextmanager
def audited() -> Iterator[list[tuple[str, Any]]]:
    """Collects the connections, started processes and files opened for writing of the block."""
    seen: list[tuple[str, Any]] = []
    active = [True]
    start = _posixsubprocess.fork_exec

    def hook(event: str, args: tuple[Any, ...]) -> None:
        mode = args[1] if event == "open" else None
        writes = set(mode) & set("wax+") if isinstance(mode, str) else event == "open" and args[2] & CHANGES
        if active and (writes or event in EVENTS):
            seen.append((event, args[1] if event in ("os.rename", "socket.connect") else args[0]))

    def start_seen(*args: Any) -> Any:  # of multiprocessing's spawn and forkserver, which no event reports
        seen.append(("fork_exec", args[0]))
        return start(*args)

    sys.addaudithook(hook)
    _posixsubprocess.fork_exec = start_seen
    try:
        yield seen
    finally:
        active.clear()
        _posixsubprocess.fork_exec = start


def test_audit_sees_what_settings_might_do(tmp_path: Path) -> None:
    with audited() as seen:
        os.close(os.open(tmp_path / "a", os.O_CREAT | os.O_WRONLY))
        (tmp_path / "b").write_text("b")
        (tmp_path / "b").read_text()
        os.rename(tmp_path / "b", tmp_path / "c")
        process = multiprocessing.get_context("spawn").Process(target=print)
        process.start()
        process.join()
        with socket.socket() as line, suppress(OSError):
            line.connect(("127.0.0.1", 1))
    assert {event for event, _ in seen} >= {"open", "os.rename", "fork_exec", "socket.connect"}
    assert [Path(str(what)).name for event, what in seen if event == "open" and str(tmp_path) in str(what)] == [
        "a",
        "b",
    ]


def test_all_settings_together_change_nothing(
    run: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.01)
        port = listener.getsockname()[1]
        every: dict[str, Any] = {}
        for name, settings in SETTINGS.items():
            if name != "keys that are numbers":
                every = merged(every, json.loads(json.dumps(settings).replace("{port}", str(port))))
        path = with_settings(run, tmp_path / "untrusted.ckpt", every)
        config = tiny_config(world, tmp_path)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        found = []
        for checkpoint, out in ((run / "checkpoints" / "best.ckpt", "one"), (path, "two")):
            with audited() as seen:
                outcome = tavlo("test", "-c", config, "--ckpt_path", checkpoint, "--out", tmp_path / out)
            assert outcome.code == 0, outcome.err
            found.append((tmp_path / out / "per_sample.csv").read_text())
            changed = ("open", "os.mkdir", "os.rename")
            started = {event for event, _ in seen if event not in changed}
            assert started <= {"subprocess.Popen", "os.posix_spawn"}, started  # for run.json
            commands = {str(what) for event, what in seen if event == "subprocess.Popen"}
            assert commands <= {"git", "uname"}
            written = [Path(str(what)).resolve() for event, what in seen if event in changed]
            assert all(
                (tmp_path / out) in (place, *place.parents) or place == Path("/dev/null") for place in written
            ), written
        assert found[0] == found[1]
        assert not list((tmp_path / "here").iterdir())
        with pytest.raises(TimeoutError):
            listener.accept()


def test_predict_ignores_the_settings_too(
    run: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every: dict[str, Any] = {}
    for name, settings in SETTINGS.items():
        every = every if name == "keys that are numbers" else merged(every, settings)
    path = with_settings(run, tmp_path / "untrusted.ckpt", every)
    monkeypatch.chdir(tmp_path)
    video = next((world / "test" / "video").iterdir())
    options = ("--data.root", video, "--overlay_videos", "false", "--out", tmp_path / "out")
    outcome = tavlo("predict", "--ckpt_path", path, *options)
    assert outcome.code == 0, outcome.err
    assert {file.name for file in tmp_path.iterdir()} == {"untrusted.ckpt", "out"}
    assert load_localizer(path, device="cpu", allow_import=ALLOWED).spec.segments == 3


def test_model_reads_and_writes_no_file_and_compiles_nothing(tmp_path: Path) -> None:
    encoder = {"class_path": "tavlo_pl.nn.visual.ResNet18", "init_args": {"stride": 16}}  # imagenet by default
    audio = {
        "class_path": "tavlo_pl.nn.pretrained.YAMNet",
        "init_args": {"weights": "/etc/passwd", "cache": "elsewhere"},
    }
    model = {
        "class_path": "tavlo_pl.models.tavlo.TAVLO",
        "init_args": {"visual": encoder, "audio": audio, "compile": "inductor"},
    }
    torch.save({"state_dict": {}, "tavlo": {"config": yaml.safe_dump({"model": model})}}, tmp_path / "some.ckpt")
    text = stored_config(tmp_path / "some.ckpt", ())
    assert text is not None
    arguments = yaml.safe_load(text)["model"]["init_args"]
    assert arguments["visual"]["init_args"]["weights"] == arguments["audio"]["init_args"]["weights"] == "none"
    assert arguments["audio"]["init_args"]["cache"] is arguments["compile"] is None
    assert WITHOUT_FILES["only_local"] is True


RUNS = [
    "torch.utils.model_dump.__main__.X",
    "torch._inductor.compile_worker.__main__.X",
    "torch.utils.bottleneck.X",
    "torch.testing._internal.common_utils.X",
    "lightning.app.X",
    "lightning.pytorch.demos.X",
    "os.X",
    "runpy.X",
]


@pytest.mark.parametrize("name", RUNS)
def test_naming_a_class_runs_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = name.rpartition(".")[0]
    before = module in sys.modules
    config = {"model": {"class_path": name}}
    torch.save({"state_dict": {}, "tavlo": {"config": yaml.safe_dump(config)}}, tmp_path / "odd.ckpt")
    with pytest.raises(CheckpointError, match="importing a class runs its module"):
        load_localizer(tmp_path / "odd.ckpt", device="cpu")
    assert (module in sys.modules) == before
    if "__main__" in name:
        (tmp_path / "odd.yaml").write_text(yaml.safe_dump(config))
        outcome = tavlo("fit", "-c", tmp_path / "odd.yaml")
        assert outcome.code == 2 and "importing a class runs its module" in outcome.err


@pytest.mark.parametrize(
    "root", ["http://127.0.0.1/x", "s3://bucket/x", "filecache::s3://bucket/x", "memory://x", "ftp://host/x"]
)
def test_run_folder_gives_no_address(tmp_path: Path, root: str) -> None:
    config = tmp_path / "config.yaml"
    shards = {"class_path": "tavlo_pl.data.shards.Shards", "init_args": {"root": root}}
    config.write_text(yaml.safe_dump({"out": "elsewhere", "data": {"test": shards, "train": shards, "batch_size": 3}}))
    with pytest.raises(ConfigError, match="names clips at"):
        stored.data_of_run(config, "test")
    text = stored.data_of_run(config, "predict")
    assert text is not None and yaml.safe_load(text) == {"data": {"batch_size": 3}}
