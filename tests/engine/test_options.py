"""The options of engines, through the command line; none of these starts Ray."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tavlo_pl.engine import options
from tavlo_pl.engine.options import RayOptions, make_engine
from tavlo_pl.errors import ConfigError
from tests.helpers.cli import tavlo

COMMANDS = {
    "index": ("data", "index", "--root", ".", "--out", "gone/index.parquet"),
    "shard": ("data", "shard", "--source", "tavlo_pl.data.datasets.VGGSound", "--source.root", ".", "--out", "gone"),
    "propose": ("annotate", "propose", "--root", ".", "--out", "gone"),
}


@pytest.fixture
def free_port() -> int:
    """A port of this machine at which nothing answers."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_address_is_one_sentence(command: str, free_port: int, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port}"
    outcome = tavlo(*COMMANDS[command], "--engine", "ray", "--ray.address", address)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"nothing answers at --ray.address {address}" in outcome.err
    assert not Path("gone").exists()


def test_predict_reports_a_wrong_address(world: Path, tmp_path: Path, free_port: int) -> None:
    args = ("--data.root", world / "test" / "video", "--out", tmp_path / "out", "--engine", "ray")
    outcome = tavlo("predict", *args, "--ray.address", f"127.0.0.1:{free_port}")
    assert (outcome.code, "nothing answers at --ray.address" in outcome.err) == (2, True)
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("address", ["", "head", "ray://head:10001", "head:0", "head:x"])
def test_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="give host:port"):
        make_engine("ray", 1, RayOptions(address=address))


@pytest.mark.parametrize(("option", "value"), [("cpus", 0), ("cpus", 1.5), ("gpus", -1), ("gpus", 2.5)])
def test_impossible_resources_are_refused(option: str, value: object) -> None:
    outcome = tavlo(*COMMANDS["shard"], "--engine", "ray", f"--ray.{option}", value)
    assert outcome.code == 2 and f"--ray.{option}" in outcome.err and outcome.err.count("\n") == 1


def test_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    outcome = tavlo(*COMMANDS["shard"], "--engine", "ray")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert 'pip install "tavlo_pl[ray]"' in outcome.err


def test_local_engine_does_not_import_ray() -> None:
    code = (
        "import sys, tavlo_pl.commands.data, tavlo_pl.engine.options as o; o.make_engine('local', 2, o.DEFAULT_RAY); "
    )
    code += "sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
