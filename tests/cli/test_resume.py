"""Failed and stopped runs, and resuming them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tavlo_pl.callbacks import checkpoints
from tavlo_pl.run import provenance
from tests.helpers.cli import tavlo
from tests.helpers.faults import interrupt
from tests.helpers.run import assert_same_end, load, tiny_config
from tests.helpers.tiny import Tiny

pytestmark = pytest.mark.filterwarnings("ignore")


def test_failed_run_writes_its_traceback(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "training_loss", lambda *_: 1 / 0)
    outcome = tavlo("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert outcome.code == 70
    assert f"internal error in tavlo fit, please report it with the traceback in {tmp_path}" in outcome.err
    assert "ZeroDivisionError" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in (tmp_path / "out" / "error.log").read_text()


def press(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail() -> None:
    raise ValueError("the disk is full")


@pytest.mark.parametrize(
    ("method", "call", "act", "code", "step"),
    [
        ("training_step", 2, press(signal.SIGINT), 130, 2),
        ("training_step", 6, press(signal.SIGTERM), 143, 6),
        ("training_step", 4, press(signal.SIGINT), 130, 4),  # the last step of an epoch
        ("validation_step", 2, press(signal.SIGINT), 130, 4),
        ("validation_step", 3, fail, 70, 4),
        ("training_step", 8, press(signal.SIGINT), 130, 8),  # the last step
    ],
    ids=["early", "term", "epoch-end", "validation", "validation-fails", "end"],
)
def test_stopped_run_resumes_to_the_same_weights(
    run: Path,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
    act: Callable[[], object],
    code: int,
    step: int,
) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        interrupt(patch, method, call, act)
        stopped = tavlo(*args)
    assert stopped.code == code, stopped.err
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == step
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed = tavlo(*args, "--ckpt_path", "last")
    assert resumed.code == 0, resumed.err
    assert_same_end(run, tmp_path / "out")


def test_resume_needs_the_run_folder_only(
    run: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 3, press(signal.SIGINT))
        assert tavlo("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out").code == 130
    resumed = tavlo("fit", "--ckpt_path", "last", "--out", tmp_path / "out")
    assert resumed.code == 0, resumed.err
    assert_same_end(run, tmp_path / "out")
    first, second = provenance.read(tmp_path / "out")
    assert "--ckpt_path last" in second["command"] and first["data"] == second["data"]


def test_exception_in_training_leaves_a_checkpoint(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 3, fail)
        assert tavlo(*args).code == 70
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == 2
    assert tavlo(*args, "--ckpt_path", "last").code == 0
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == 8


def test_long_epoch_is_saved_in_between(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SAVE_EVERY_S", 0.0)
    saved = []
    monkeypatch.setattr(
        checkpoints.RunCheckpoints, "_save_last", lambda self, trainer: saved.append(trainer.global_step)
    )
    config = tiny_config(world, tmp_path, max_epochs=1, limit_val_batches=0)
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    assert saved == [1, 2, 3, 4]
