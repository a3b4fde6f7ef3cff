"""``--optimizer``, ``--lr_scheduler``, ``--monitor`` and runs without a fixed length."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.helpers.cli import Outcome, tavlo
from tests.helpers.faults import error_line, interrupt
from tests.helpers.run import assert_same_end, load, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")

SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}}
WARMUP = {"class_path": "tavlo_pl.models.optimizers.WarmupCosine", "init_args": {"warmup": 0.5}}


def config(world: Path, folder: Path, **parts: Any) -> Path:
    """The tiny configuration with further sections."""
    path = tiny_config(world, folder)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | parts))
    return path


def fit(path: Path, folder: Path, *args: object) -> Outcome:
    """Trains to the end in the folder ``out``."""
    outcome = tavlo("fit", "-c", path, "--out", folder / "out", *args)
    assert outcome.code == 0, outcome.err
    return outcome


def last(folder: Path) -> dict[str, Any]:
    return load(folder / "out" / "checkpoints" / "last.ckpt")


def test_optimizer_without_scheduler_keeps_its_rate(world: Path, tmp_path: Path) -> None:
    args = ("--optimizer", "torch.optim.SGD", "--optimizer.lr", 0.1)
    outcome = fit(tiny_config(world, tmp_path), tmp_path, *args)
    assert "overridden" not in outcome.err
    (state,) = last(tmp_path)["optimizer_states"]
    (group,) = state["param_groups"]
    assert group["lr"] == 0.1 and "betas" not in group
    assert last(tmp_path)["lr_schedulers"] == []
    ran = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert ran["optimizer"]["class_path"] == "torch.optim.SGD" and ran["optimizer"]["init_args"]["lr"] == 0.1
    assert ran["lr_scheduler"] is None


def test_default_optimizer_is_adamw_with_warmup_cosine(world: Path, tmp_path: Path) -> None:
    fit(tiny_config(world, tmp_path), tmp_path)
    (state,) = last(tmp_path)["optimizer_states"]
    assert all("betas" in group for group in state["param_groups"])
    assert len(last(tmp_path)["lr_schedulers"]) == 1
    ran = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert ran["optimizer"] is ran["lr_scheduler"] is None


def test_warmup_cosine_of_a_config_is_stepped_every_batch(world: Path, tmp_path: Path) -> None:
    path = config(world, tmp_path, optimizer=SGD, lr_scheduler=WARMUP)
    fit(path, tmp_path)  # two epochs of four steps
    (scheduler,) = last(tmp_path)["lr_schedulers"]
    assert scheduler["last_epoch"] == 8
    assert scheduler["warmup"] == 0.5
    assert scheduler["_last_lr"] == [pytest.approx(0.0)]
    ran = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert ran["lr_scheduler"]["class_path"] == WARMUP["class_path"]
    assert ran["lr_scheduler"]["init_args"]["warmup"] == 0.5


def test_other_scheduler_is_stepped_every_epoch(world: Path, tmp_path: Path) -> None:
    step = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}
    fit(config(world, tmp_path, optimizer=SGD, lr_scheduler=step), tmp_path)
    (scheduler,) = last(tmp_path)["lr_schedulers"]
    assert scheduler["last_epoch"] == 2 and scheduler["_last_lr"] == [pytest.approx(0.025)]


def test_plateau_scheduler_reads_its_monitor(world: Path, tmp_path: Path) -> None:
    plateau = {"class_path": "lightning.pytorch.cli.ReduceLROnPlateau", "init_args": {"monitor": "val/loss"}}
    fit(config(world, tmp_path, optimizer=SGD, lr_scheduler=plateau), tmp_path)
    (scheduler,) = last(tmp_path)["lr_schedulers"]
    assert scheduler["last_epoch"] >= 1 and -1 <= scheduler["best"] <= 1  # the loss of the tiny model is a cosine


def test_resume_with_optimizer_and_scheduler_is_exact(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(world, tmp_path, optimizer=SGD, lr_scheduler=WARMUP)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    fit(path, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 6, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert tavlo("fit", "-c", path, "--out", tmp_path / "stopped" / "out").code == 130
    resumed = tavlo("fit", "--ckpt_path", "last", "--out", tmp_path / "stopped" / "out")  # from its config.yaml
    assert resumed.code == 0, resumed.err
    assert_same_end(tmp_path / "whole" / "out", tmp_path / "stopped" / "out")
    assert last(tmp_path / "whole")["lr_schedulers"] == last(tmp_path / "stopped")["lr_schedulers"]


def test_resume_with_more_epochs_extends_the_schedule(world: Path, tmp_path: Path) -> None:
    path = config(world, tmp_path, optimizer=SGD, lr_scheduler=WARMUP)
    fit(path, tmp_path)
    before = last(tmp_path)["state_dict"]["visual.weight"]
    fit(path, tmp_path, "--ckpt_path", "last", "--trainer.max_epochs", 3)
    assert last(tmp_path)["global_step"] == 12
    assert not torch.equal(last(tmp_path)["state_dict"]["visual.weight"], before)  # the rate is above zero again


def test_scheduler_without_optimizer_is_refused(world: Path, tmp_path: Path) -> None:
    outcome = tavlo("fit", "-c", config(world, tmp_path, lr_scheduler=WARMUP), "--out", tmp_path / "out")
    assert outcome.code == 2 and "--lr_scheduler needs --optimizer" in error_line(outcome)


def test_other_commands_accept_the_config_of_fit(run: Path, world: Path, tmp_path: Path) -> None:
    args = ("-c", config(world, tmp_path, optimizer=SGD, lr_scheduler=WARMUP), "--out", tmp_path / "out")
    outcome = tavlo("validate", "--ckpt_path", run / "checkpoints" / "last.ckpt", *args)
    assert outcome.code == 0, outcome.err
    assert "optimizer" not in yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())


@pytest.mark.parametrize(
    "limits",
    [{"max_epochs": -1, "max_steps": 6}, {"max_epochs": None, "max_steps": 6}],
    ids=["endless epochs", "steps alone"],
)
@pytest.mark.parametrize("parts", [{}, {"optimizer": SGD, "lr_scheduler": WARMUP}], ids=["default", "options"])
def test_max_steps_sets_the_length_of_the_schedule(
    world: Path, tmp_path: Path, limits: dict[str, Any], parts: dict[str, Any]
) -> None:
    path = tiny_config(world, tmp_path, **limits)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | parts))
    fit(path, tmp_path)
    assert last(tmp_path)["global_step"] == 6
    assert last(tmp_path)["lr_schedulers"][0]["_last_lr"][0] == pytest.approx(0.0, abs=1e-12)


def test_max_time_alone_warms_up_and_ends(world: Path, tmp_path: Path) -> None:
    fit(tiny_config(world, tmp_path, max_epochs=None, max_time="00:00:00:01"), tmp_path)
    step, (scheduler,) = last(tmp_path)["global_step"], last(tmp_path)["lr_schedulers"]
    assert step > 0
    assert scheduler["_last_lr"][0] == pytest.approx(1e-4 * min(1.0, (step + 1) / 500))


def test_endless_run_warms_up_until_it_is_stopped(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "training_step", 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    outcome = tavlo("fit", "-c", tiny_config(world, tmp_path, max_epochs=-1), "--out", tmp_path / "out")
    assert outcome.code == 130, outcome.err
    assert last(tmp_path)["global_step"] == 10
    assert last(tmp_path)["lr_schedulers"][0]["_last_lr"][0] == pytest.approx(1e-4 * 11 / 500)


def test_monitor_that_is_not_logged_is_an_error(world: Path, tmp_path: Path) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    outcome = tavlo(*args, "--monitor", "val/cIoU")
    assert outcome.code == 2
    assert "--monitor val/cIoU is not logged" in error_line(outcome)
    assert "val/ciou_mean" in error_line(outcome) and "val/loss" in error_line(outcome)
    assert "train/loss" not in error_line(outcome)
    assert last(tmp_path)["global_step"] == 4  # the first validation
    resumed = tavlo(*args, "--monitor", "val/loss", "--ckpt_path", "last")
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "out" / "checkpoints" / "best.ckpt").is_file()
