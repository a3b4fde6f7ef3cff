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


# the same end


def results_of(run: Path) -> dict[str, Any]:
    """``results.json`` of ``tavlo test`` with the run's best checkpoint, less times and paths."""
    outcome = tavlo("test", "--ckpt_path", run / "checkpoints" / "best.ckpt")
    assert outcome.code == 0, outcome.err
    results = json.loads((run / "test" / "results.json").read_text())
    return {key: value for key, value in results.items() if key not in TIMES_AND_PATHS}


def assert_same_weights(run: Path, other: Path) -> None:
    """Two runs ended with the same weights, bit for bit."""
    for name in ("last.ckpt", "best.ckpt"):
        one, two = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (run, other))
        assert one["global_step"] == two["global_step"]
        for key, value in one["state_dict"].items():
            assert torch.equal(value, two["state_dict"][key]), f"{name}: {key}"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_files(folder: Path, other: Path) -> None:
    """Two folders hold the same files, with the same maps in them and overlay videos of the same frames.

    Bit for bit but for what predict writes: a convolution on the CPU may differ in its last bit from call to call.
    """
    one, two = contents(folder), contents(other)
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith(".npz"):
            assert np.load(folder / name)["heatmap"] == pytest.approx(np.load(other / name)["heatmap"], abs=1e-3)
        elif name.endswith(".mp4"):
            assert media.frame_times(folder / name).tolist() == media.frame_times(other / name).tolist()
        elif not name.endswith((".jpg", ".sources.json", ".html", "run.json")):  # run.json has an entry for every start
            assert one[name] == two[name], name


def interrupt(monkeypatch: pytest.MonkeyPatch, method: str, call: int, act: Callable[[], object]) -> None:
    """Does something in the middle of the tiny model's method when it is called for the `call`-th time."""
    original, calls = getattr(Tiny, method), []

    def wrapped(self: Tiny, *args: object) -> object:
        calls.append(1)
        if len(calls) == call:
            act()
        return original(self, *args)

    monkeypatch.setattr(Tiny, method, wrapped)


def error_line(outcome: Outcome) -> str:
    """Returns the line that a failed command printed; there is no traceback and no second line."""
    assert "Traceback" not in outcome.err
    (line,) = (line for line in outcome.err.splitlines() if line.startswith("tavlo "))
    return line


class KillOnce(Callback):
    """Kills one process of a run in the middle of a step, the first time only.

    Args:
        rank: of the process.
        step: before which step.
        marker: file that says that it has been done.
    """

    def __init__(self, rank: int, step: int, marker: str) -> None:
        self.rank, self.step, self.marker = rank, step, Path(marker)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        """Between the forward and the backward pass, where the others are about to wait for this process."""
        if trainer.global_rank == self.rank and trainer.global_step == self.step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


# disks


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Callable[[int], object]]:
    """A disk of its own size at a folder, which is made; what is yielded changes the size."""

    def mount(*options: str) -> None:
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"may not mount a disk here: {done.stderr.strip()}")

    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")
    try:
        yield lambda more: mount("-o", f"remount,size={more}k")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def used_kilobytes(folder: Path) -> int:
    """What the disk of a folder holds now; a disk of that size has no room left."""
    disk = os.statvfs(folder)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024


@contextmanager
def small_files(largest_bytes: int) -> Iterator[None]:
    """No file may grow beyond a size; needs no rights, and meets the writer at any byte, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be made, not even by root."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    flagged = subprocess.run(["chattr", "+i", str(folder)], capture_output=True, text=True, check=False)
    if flagged.returncode:
        pytest.skip(f"root writes everywhere here: {flagged.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=True)


# kills


def killed_after(seconds: float, run: Callable[[], object]) -> bool:
    """Runs something in a process of its own and kills it (SIGKILL) after a time; whether it was killed."""
    process = get_context("fork").Process(target=run)
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def killed_at_write(number: int, run: Callable[[], object]) -> bool:
    """Runs something in a process of its own, killed between the n-th file's last byte and its new name."""

    def dying() -> None:
        written: list[int] = []
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            written.append(handle)
            if len(written) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        atomic.os.fsync = fsync  # type: ignore[attr-defined]
        run()

    return killed_after(120, dying)
