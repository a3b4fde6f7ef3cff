"""SIGKILL of a run, of a data loader process, and of one of two processes."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import get_worker_info

from tavlo_pl.data.clip import Clip
from tavlo_pl.data.dataset import ClipDataset, Item
from tavlo_pl.engine import local
from tavlo_pl.run import exit as run_exit
from tests.faults.conftest import Undisturbed, predict_args, score_args, shard_args
from tests.helpers.cli import tavlo
from tests.helpers.faults import (
    assert_same_files,
    assert_same_weights,
    error_line,
    killed_after,
    killed_at_write,
    results_of,
)
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[2]
SEED = 9
"""Seed of the times at which runs are killed."""


def fit_args(world: Path, folder: Path) -> tuple[object, ...]:
    return ("fit", "-c", tiny_config(world, folder), "--out", folder / "out", "--ckpt_path", "last")


def run_fit(args: tuple[object, ...], folder: Path, undisturbed: Undisturbed) -> None:
    """Runs the same command to its end and compares the results."""
    outcome = tavlo(*args)
    assert outcome.code == 0, outcome.err
    assert_same_weights(folder / "out", undisturbed.folder)
    assert results_of(folder / "out") == undisturbed.results
    assert not list((folder / "out").rglob("*.part")) and not (folder / "out" / ".lock").exists()


def kill_times(number: int, first_s: float, last_s: float) -> list[float]:
    """Random times in seconds after the start."""
    draw = random.Random(SEED)
    return [draw.uniform(first_s, last_s) for _ in range(number)]


@pytest.mark.slow
def test_fit_killed_while_writing_resumes(undisturbed: Undisturbed, world: Path, tmp_path: Path) -> None:
    args = fit_args(world, tmp_path)
    # in this order: config.yaml, last.ckpt before the first validation, best.ckpt after it, last.ckpt of the epoch
    for number in (1, 2, 3, 3):
        assert killed_at_write(number, lambda: tavlo(*args))
    run_fit(args, tmp_path, undisturbed)


def took_s(run: object) -> float:
    """Seconds that a command takes in a separate process."""
    began_s = time.monotonic()
    assert not killed_after(120, run)  # type: ignore[arg-type]
    return time.monotonic() - began_s


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 20])
def test_fit_killed_at_any_time_resumes(undisturbed: Undisturbed, world: Path, tmp_path: Path, number: int) -> None:
    (tmp_path / "timed").mkdir()
    last_s = took_s(lambda: tavlo(*fit_args(world, tmp_path / "timed")))
    for turn, time_s in enumerate(kill_times(number, 0.0, last_s)):
        (tmp_path / str(turn)).mkdir()
        args = fit_args(world, tmp_path / str(turn))
        killed_after(time_s, lambda args=args: tavlo(*args))
        run_fit(args, tmp_path / str(turn), undisturbed)


@pytest.mark.parametrize("number", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ["predict", "score", "shard"])
def test_other_commands_killed_at_any_time_can_be_repeated(
    request: pytest.FixtureRequest, undisturbed: Undisturbed, world: Path, tmp_path: Path, command: str, number: int
) -> None:
    def args(name: str) -> tuple[object, ...]:
        match command:
            case "predict":
                return predict_args(undisturbed, world, tmp_path / name)
            case "score":
                return score_args(request.getfixturevalue("maps"), world, tmp_path / name)
        return shard_args(world, tmp_path / name)

    whole = request.getfixturevalue({"predict": "maps", "score": "scores", "shard": "shards"}[command])
    last_s = took_s(lambda: tavlo(*args("timed")))
    for turn, time_s in enumerate(kill_times(number, 0.0, last_s)):
        again = args(str(turn))
        killed_after(time_s, lambda again=again: tavlo(*again))
        killed_at_write(1 + turn % 5, lambda again=again: tavlo(*again))
        outcome = tavlo(*again)
        assert outcome.code == 0, outcome.err
        assert_same_files(tmp_path / str(turn), whole)


def kill_the_reader(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """The data loader process kills itself while it reads its n-th clip."""
    real, calls = ClipDataset.__getitem__, []

    def killed(self: ClipDataset, key: int | tuple[int, int]) -> Item:
        calls.append(key)
        if get_worker_info() is not None and len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, key)

    monkeypatch.setattr(ClipDataset, "__getitem__", killed)


def test_fit_resumes_after_a_killed_loader_process(
    undisturbed: Undisturbed, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (*fit_args(world, tmp_path), "--data.num_workers", 1)
    with monkeypatch.context() as patch:
        kill_the_reader(patch, 7)
        died = tavlo(*args)
    assert died.code == 1
    assert "a data loader process was killed" in error_line(died)
    run_fit(args, tmp_path, undisturbed)


def test_test_reports_a_killed_loader_process(
    undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("test", "--ckpt_path", undisturbed.folder / "checkpoints" / "best.ckpt", "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        kill_the_reader(patch, 3)
        died = tavlo(*args, "--data.num_workers", 1)
    assert died.code == 1
    assert "a data loader process was killed" in error_line(died)
    assert not (tmp_path / "out" / "results.json").exists()


def test_shard_can_be_repeated_after_a_killed_process(
    shards: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (*shard_args(world, tmp_path / "out"), "--workers", 2)
    real, last = Clip.read, sorted(path.stem for path in (world / "train").rglob("*.mp4"))[-1]

    def killed(self: Clip, *about: Any) -> Any:
        if self.sample_id == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *about)

    monkeypatch.setattr(local, "get_context", lambda _: get_context("fork"))  # a fork inherits the patch
    with monkeypatch.context() as patch:
        patch.setattr(Clip, "read", killed)
        died = tavlo(*args)
    assert died.code == 1
    assert "one of its processes was killed" in error_line(died)
    assert tavlo(*args).code == 0
    assert_same_files(tmp_path / "out", shards)


def call(args: tuple[object, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user starts it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    command = [sys.executable, "-m", "tavlo_pl", *map(str, args), "--allow_import", "tests"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "code"), [(1, 1), (0, -signal.SIGKILL)])
def test_killed_process_ends_the_run_which_resumes(world: Path, tmp_path: Path, rank: int, code: int) -> None:
    ends = []
    for name, step in (("whole", -1), ("killed", 3)):
        (tmp_path / name).mkdir()
        marker = tmp_path / name / "marker"
        kill = {"class_path": "tests.helpers.faults.KillOnce"}
        kill["init_args"] = {"rank": rank, "step": step, "marker": str(marker)}
        config = tiny_config(world, tmp_path / name, devices=2, strategy="ddp", callbacks=[kill])
        args = ("fit", "-c", config, "--out", tmp_path / name / "out", "--ckpt_path", "last")
        if name == "killed":
            died = call(args, tmp_path)  # returns once both processes have closed their output
            assert died.returncode == code, died.stderr
            assert "another process of this run ended" in died.stderr
            assert "Traceback" not in died.stderr
            assert torch.load(tmp_path / "killed/out/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
        outcome = call(args, tmp_path)
        assert outcome.returncode == 0, outcome.stderr
        assert marker.exists() == (name == "killed")
        ends.append((tmp_path / name / "out", results_of(tmp_path / name / "out")))
    (whole, expected), (killed, results) = ends
    assert_same_weights(killed, whole)
    assert results == expected


def test_exit_with_parent_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_exit, "PARENT_CHECK_S", 0.02)
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        parent = os.getpid()
        if os.fork() == 0:
            run_exit.exit_with_parent(parent)
        os._exit(0)
    os.close(writer)
    os.waitpid(first, 0)
    assert select.select([reader], [], [], 60)[0] and os.read(reader, 1) == b""  # the second process has ended as well
    os.close(reader)
