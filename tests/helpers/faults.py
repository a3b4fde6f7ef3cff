"""Full disks, folders without write permission, kills at any time, and comparisons of the results of runs."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from tavlo_pl.data import media
from tavlo_pl.io import atomic
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.tiny import Tiny

TIMES_AND_PATHS = ("wall_time_s", "inference_s", "command", "checkpoint")


# comparisons


def results_of(run: Path) -> dict[str, Any]:
    """``results.json`` of ``tavlo test`` with the run's best checkpoint, without times and paths."""
    outcome = tavlo("test", "--ckpt_path", run / "checkpoints" / "best.ckpt")
    assert outcome.code == 0, outcome.err
    results = json.loads((run / "test" / "results.json").read_text())
    results["options"].pop("checkpoint")  # its path
    return {key: value for key, value in results.items() if key not in TIMES_AND_PATHS}


def assert_same_weights(run: Path, other: Path) -> None:
    """Asserts that two runs ended with bitwise equal weights."""
    for name in ("last.ckpt", "best.ckpt"):
        one, two = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (run, other))
        assert one["global_step"] == two["global_step"]
        for key, value in one["state_dict"].items():
            assert torch.equal(value, two["state_dict"][key]), f"{name}: {key}"


def contents(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_files(folder: Path, other: Path) -> None:
    """Asserts that two folders contain the same files, maps, and overlay videos with the same frames.

    Files are bitwise equal except those of predict: a convolution on the CPU may differ in its last bit between calls.
    """
    one, two = contents(folder), contents(other)
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith(".npz"):
            assert np.load(folder / name)["heatmap"] == pytest.approx(np.load(other / name)["heatmap"], abs=1e-3)
        elif name.endswith(".mp4"):
            assert media.frame_times(folder / name).tolist() == media.frame_times(other / name).tolist()
        elif not name.endswith((".jpg", ".sources.json", ".html", "run.json")):  # run.json has an entry per start
            assert one[name] == two[name], name


def interrupt(monkeypatch: pytest.MonkeyPatch, method: str, call: int, act: Callable[[], object]) -> None:
    """Calls ``act`` at the start of the `call`-th call of a method of the tiny model."""
    original, calls = getattr(Tiny, method), []

    def wrapped(self: Tiny, *args: object) -> object:
        calls.append(1)
        if len(calls) == call:
            act()
        return original(self, *args)

    monkeypatch.setattr(Tiny, method, wrapped)


def error_line(outcome: Outcome) -> str:
    """The error message of a failed command; asserts that it is one line without a traceback."""
    assert "Traceback" not in outcome.err
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("tavlo "))
    return line


class KillOnce(Callback):
    """Kills one process of a run in the middle of a step, once.

    Args:
        rank: rank of the process.
        step: global step at which it is killed.
        marker: file that is created when it is killed.
    """

    def __init__(self, rank: int, step: int, marker: str) -> None:
        self.rank, self.step, self.marker = rank, step, Path(marker)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        """Runs between forward and backward pass, before the other processes wait for this one."""
        if trainer.global_rank == self.rank and trainer.global_step == self.step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


# disks


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Callable[[int], object]]:
    """Mounts a disk of a given size at a new folder; yields a function that changes the size."""

    def mount(*options: str) -> None:
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a disk: {done.stderr.strip()}")

    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")
    try:
        yield lambda more: mount("-o", f"remount,size={more}k")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def used_kilobytes(folder: Path) -> int:
    """Used space of the disk of a folder, in kilobytes."""
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024


@contextmanager
def small_files(largest_bytes: int) -> Iterator[None]:
    """Limits the size of files, without privileges; a write fails at that byte, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Makes a folder read-only, for root too."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    flagged = subprocess.run(["chattr", "+i", str(folder)], capture_output=True, text=True, check=False)
    if flagged.returncode:
        pytest.skip(f"cannot make a folder read-only for root: {flagged.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)


def needs_two_cases(folder: Path) -> None:
    """Skips the test if names in a folder that differ in case alone are one file."""
    (folder / "case").touch()
    one_file = (folder / "CASE").exists()
    (folder / "case").unlink()
    if one_file:
        pytest.skip("needs a file system that distinguishes upper and lower case")


# kills


def killed_after(seconds: float, run: Callable[[], object]) -> bool:
    """Runs a function in a separate process and kills it (SIGKILL) after a time; returns whether it was killed."""
    process = get_context("fork").Process(target=run)
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def killed_at_write(number: int, run: Callable[[], object]) -> bool:
    """Runs a function in a separate process, killed between writing and renaming the n-th file."""

    def killed() -> None:
        written: list[int] = []
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            written.append(handle)
            if len(written) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        atomic.os.fsync = fsync  # type: ignore[attr-defined]
        run()

    return killed_after(120, killed)
