"""Disturbances of training: non-finite values, signals, clocks, a second run."""

import math
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tavlo_pl import env
from tavlo_pl.callbacks.gallery import Gallery
from tavlo_pl.run import directory
from tests.faults.conftest import Undisturbed
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.clips import clicks, write_numbered
from tests.helpers.faults import assert_same_weights, error_line, interrupt, results_of
from tests.helpers.processes import run_processes
from tests.helpers.run import tiny_config
from tests.helpers.tiny import Tiny

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def fit(undisturbed: Undisturbed, world: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """The command that starts or resumes the tiny run, in ``out``."""
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out", "--ckpt_path", "last")
    return lambda *more: tavlo(*args, *more)


@pytest.fixture
def same_end(undisturbed: Undisturbed, fit: Callable[..., Outcome], tmp_path: Path) -> Callable[[], None]:
    """Resumes the run and compares its results with those of an undisturbed one."""

    def check() -> None:
        outcome = fit()
        assert outcome.code == 0, outcome.err
        assert_same_weights(tmp_path / "out", undisturbed.folder)
        assert results_of(tmp_path / "out") == undisturbed.results

    return check


def state(folder: Path) -> dict[str, object]:
    """Content of ``last.ckpt``."""
    return torch.load(folder / "out" / "checkpoints" / "last.ckpt", weights_only=True)


def assert_finite(folder: Path) -> None:
    """Asserts that all weights of all checkpoints are finite."""
    for path in (folder / "out" / "checkpoints").iterdir():
        for name, value in torch.load(path, weights_only=True)["state_dict"].items():
            assert torch.isfinite(value).all(), f"{path}: {name}"


# non-finite values


@pytest.mark.parametrize("bad", [math.nan, pytest.param(math.inf, marks=pytest.mark.slow)])
def test_non_finite_loss_ends_before_the_step(
    fit: Callable[..., Outcome],
    same_end: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad: float,
) -> None:
    real, steps = Tiny.training_loss, []

    def training_loss(self: Tiny, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        steps.append(1)
        factor = bad if len(steps) == 3 else 1.0
        return {"loss": real(self, frames, spectrogram)["loss"] * factor}

    with monkeypatch.context() as patch:
        patch.setattr(Tiny, "training_loss", training_loss)
        ended = fit()
    assert ended.code == 1
    message = error_line(ended)
    assert re.search(rf"the loss is -?{bad:g} at step 2, epoch 0, on clips ", message)
    assert re.search(r"on clips \S+_\d+, \S+_\d+;", message)  # both clips of the batch
    assert "--ckpt_path last" in message
    assert state(tmp_path)["global_step"] == 2
    assert_finite(tmp_path)
    same_end()


def test_non_finite_gradient_ends_before_the_step(
    fit: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tiny.training_loss

    def training_loss(self: Tiny, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        loss = real(self, frames, spectrogram)["loss"]
        return {"loss": loss + (loss - loss.detach()).abs().sqrt()}  # finite, with an infinite gradient

    monkeypatch.setattr(Tiny, "training_loss", training_loss)
    ended = fit()
    assert ended.code == 1
    assert "the gradient is not finite at step 0" in error_line(ended)
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.slow
def test_non_finite_loss_on_one_process_ends_both(
    fit: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tiny.training_loss

    def in_process(rank: int, processes: int) -> tuple[int, str]:
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(processes)}
        factor = math.nan if rank == 1 else 1.0
        monkeypatch.setattr(Tiny, "training_loss", lambda *about: {"loss": real(*about)["loss"] * factor})
        ended = fit("--trainer.devices", processes, "--trainer.strategy", "ddp")
        return ended.code, error_line(ended)

    (code, message), (other_code, other_message) = run_processes(2, in_process)
    assert (code, other_code) == (1, 1)
    assert "the gradient is not finite at step 0" in message  # due to the loss of the other process
    assert "the loss is nan at step 0" in other_message
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_damaged_last_checkpoint_is_replaced_by_the_best(
    fit: Callable[..., Outcome], same_end: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 6, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert fit().code == 130
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"data/0") + 200] ^= 0x10  # one bit of a weight, which torch does not detect
    for damaged in (flipped, whole[:-100], b""):
        last.write_bytes(damaged)
        refused = fit()
        assert refused.code == 2
        assert "last.ckpt cannot be read as a checkpoint" in error_line(refused)
        assert "copy best.ckpt" in error_line(refused)
    shutil.copy(last.with_name("best.ckpt"), last)
    same_end()


# clips


@pytest.mark.slow
def test_hanging_or_non_finite_clip_counts_as_damaged(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs with different defects of the same clip end with the same results."""
    monkeypatch.setenv(env.CLIP_TIMEOUT_S, "2")
    clip = sorted((world / "train").rglob("*.mp4"))[3].relative_to(world)

    def page(path: Path) -> None:
        path.write_text("<html>not found</html>")

    def endless(path: Path) -> None:
        write_numbered(path.with_suffix(".mkv"))
        path.with_suffix(".mkv").rename(path)
        os.truncate(path, path.stat().st_size * 2 // 3)
        os.truncate(path, 2**40)

    def non_finite(path: Path) -> None:
        monkeypatch.setattr("tests.helpers.clips.clicks", lambda *about: clicks(*about) * np.float32(np.nan))
        write_numbered(path.with_suffix(".mkv"), audio_codec="pcm_f32le")
        path.with_suffix(".mkv").rename(path)

    ends = []
    for spoil in (page, endless, non_finite):
        copy, out = tmp_path / spoil.__name__, tmp_path / f"{spoil.__name__}-out"
        shutil.copytree(world, copy)
        (copy / clip).unlink()
        spoil(copy / clip)
        config = tiny_config(world, copy)
        args = (
            "--data.train.init_args.root",
            copy / "train",
            "--data.bad_clips.max_share",
            0.5,
            "--data.num_workers",
            1,
        )
        outcome = tavlo("fit", "-c", config, "--out", out, *args)
        assert outcome.code == 0, outcome.err
        assert clip.stem in (out / "bad_clips.csv").read_text()
        ends.append((out, results_of(out)))
    for out, results in ends[1:]:
        assert_same_weights(out, ends[0][0])
        assert results == ends[0][1]


# signals


def test_sigterm_before_training_stops_at_step_0(
    fit: Callable[..., Outcome], same_end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        terminate = lambda *_: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
        patch.setattr(Gallery, "on_train_start", terminate, raising=False)  # runs before our handler
        stopped = fit()
    assert stopped.code == 143
    assert "stopped by SIGTERM after step 0; resume with: tavlo fit --ckpt_path last" in stopped.err
    same_end()


def test_second_sigterm_still_waits_for_the_step(
    fit: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate_twice() -> None:  # e.g. from a scheduler and a launcher
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 3, terminate_twice)
        assert fit().code == 143
    assert state(tmp_path)["global_step"] == 3


SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def in_slurm(monkeypatch: pytest.MonkeyPatch, folder: Path, scontrol: str) -> Path:
    """Makes this process a task of a SLURM job whose ``scontrol`` is a script; returns the file with its arguments."""
    (folder / "bin").mkdir()
    (folder / "bin" / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{scontrol}\n')
    (folder / "bin" / "scontrol").chmod(0o755)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder / "asked"


def test_slurm_signal_saves_and_requeues_the_job(
    fit: Callable[..., Outcome],
    same_end: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = in_slurm(monkeypatch, tmp_path, "exit 0")
    before = signal.getsignal(signal.SIGUSR1)
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 2, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        stopped = fit()
    assert stopped.code == 128 + signal.SIGUSR1
    assert "stopped by SIGUSR1 after step 2" in stopped.err
    assert asked.read_text() == "requeue 4711\n"
    assert state(tmp_path)["global_step"] == 2
    assert not list((tmp_path / "out").glob("hpc_ckpt*"))  # Lightning would prefer it to last.ckpt
    assert signal.getsignal(signal.SIGUSR1) is before
    same_end()


def test_failed_requeue_is_reported(
    fit: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_slurm(monkeypatch, tmp_path, "echo 'Requested operation is presently disabled' >&2; exit 1")
    interrupt(monkeypatch, "training_step", 1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    stopped = fit()
    assert stopped.code == 128 + signal.SIGUSR1
    assert "scontrol requeue 4711 failed (Requested operation is presently disabled)" in stopped.err


# clocks


def test_jumping_clock_changes_nothing(
    fit: Callable[..., Outcome], same_end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(9)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: draw.uniform(0, 4e9))  # 1970 to 2096
        ended = fit("--trainer.enable_progress_bar", "true")
    assert ended.code == 0, ended.err
    same_end()


def test_clock_set_back_gives_new_folder_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2026, 10, 25, 2, 30)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(directory, "datetime", Stopped)
    names = []
    for _ in range(3):
        folder = directory.choose("fit", None, None, "exp/tiny.yaml")
        folder.mkdir(parents=True)
        names.append(folder.name)
    assert names == ["20261025-023000", "20261025-023000-2", "20261025-023000-3"]


# two runs


def test_second_run_in_a_folder_is_refused_until_a_kill(
    fit: Callable[..., Outcome], same_end: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message: list[str] = []

    def wait_for_the_second() -> None:
        for _ in range(600):
            if (tmp_path / "stop").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.1)

    def first() -> None:
        interrupt(monkeypatch, "training_step", 6, wait_for_the_second)
        fit()

    def second() -> None:
        until_s = time.monotonic() + 60
        while not (tmp_path / "out" / "checkpoints" / "last.ckpt").exists():
            assert time.monotonic() < until_s
            time.sleep(0.02)
        for args in ((), ("--overwrite",)):
            refused = fit(*args)
            assert refused.code == 2
            message.append(error_line(refused))
        (tmp_path / "stop").touch()

    child = os.fork()
    if child == 0:
        first()
        os._exit(0)
    try:
        second()
    finally:
        (tmp_path / "stop").touch()
        os.waitpid(child, 0)
    assert all(f"{tmp_path / 'out'} is in use by another run (process {child} on " in line for line in message)
    assert (tmp_path / "out" / ".lock").exists()  # of the killed run
    same_end()
