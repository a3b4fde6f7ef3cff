"""The command line from outside: what it answers, what it leaves, what it refuses, how it goes on."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import cli as lightning_cli

import tavlo_pl
from tavlo_pl.callbacks import checkpoints
from tavlo_pl.cli import TavloCLI
from tavlo_pl.errors import CheckpointError
from tavlo_pl.predict import checkpoint
from tavlo_pl.run import provenance
from tests.helpers.cli import tavlo
from tests.helpers.faults import interrupt
from tests.helpers.processes import run_processes
from tests.helpers.run import data_config, tiny_config
from tests.helpers.tiny import Tiny

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished fit of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    outcome = tavlo("fit", "-c", tiny_config(world, folder), "--out", folder / "out")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == outcome.out.splitlines()[-1] == f"run folder: {folder / 'out'}"
    return folder / "out"


def load(path: Path) -> dict[str, object]:
    return torch.load(path, weights_only=True)


def assert_same_end(run: Path, other: Path) -> None:
    """Two runs ended with the same weights, optimiser and choice of the best, bit for bit."""
    for name in ("last.ckpt", "best.ckpt"):
        one, two = load(run / "checkpoints" / name), load(other / "checkpoints" / name)
        assert one["global_step"] == two["global_step"]
        for key, value in one["state_dict"].items():
            assert torch.equal(value, two["state_dict"][key]), f"{name}: {key}"
        assert str(one["optimizer_states"]) == str(two["optimizer_states"])
        assert one["callbacks"]["RunCheckpoints"] == two["callbacks"]["RunCheckpoints"]


# light answers


def test_version_and_help_do_not_import_torch() -> None:
    code = "import sys, tavlo_pl.__main__ as m; m.main(['--version']); m.main([]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tavlo 0.")
    assert lines[-1] == "False"
    for verb in ("fit", "validate", "test", "predict", "data"):
        assert any(line.strip().startswith(verb) for line in lines)


def test_a_mistyped_verb_is_answered_with_the_near_one() -> None:
    outcome = tavlo("tset")
    assert (outcome.code, outcome.err) == (2, "tavlo: unknown verb 'tset'; did you mean test?\n")


def test_the_help_of_data_synth_comes_from_its_docstring() -> None:
    outcome = tavlo("data", "synth", "--help")
    assert outcome.code == 0
    assert "difficulty" in outcome.out
    assert "{easy,standard,hard}" in outcome.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("data synth --out x --train_clip 3", "train_clip"),
        ("fit --data.batchsize 3", "batchsize"),
        ("fit --ckpt_path nowhere.ckpt", "nowhere.ckpt"),
        ("fit --ckpt_path last", "--out"),
        ("test", "--ckpt_path"),
        ("test --ckpt_path nowhere.ckpt", "nowhere.ckpt"),
        ("fit -c nowhere.yaml", "nowhere.yaml"),
        ("fit --model=tavlo_pl.models.tavlo.NoSuchModel", "NoSuchModel"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words: str, told: str) -> None:
    outcome = tavlo(*words.split())
    assert outcome.code == 2
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


def test_missing_clips_are_one_sentence_that_names_the_folder(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path)
    outcome = tavlo("fit", "-c", config, "--data.train.init_args.root", tmp_path / "gone", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert str(tmp_path / "gone") in outcome.err
    assert outcome.err.strip().count("\n") == 0


# the run folder


def test_a_run_leaves_exactly_these_files(run: Path) -> None:
    left = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in left if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert left - events == {"config.yaml", "run.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}


def test_a_run_says_where_it_comes_from(run: Path, world: Path) -> None:
    (start,) = provenance.read(run)
    assert start["command"].startswith("tavlo fit -c ") and start["folder"] == os.getcwd()
    assert start["version"] == tavlo_pl.__version__
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (start["git"] or "").removesuffix("+changes") == revision.stdout.strip()
    assert start["packages"].get("torch", torch.__version__).split("+")[0] == torch.__version__.split("+")[0]
    assert start["machine"]["processors"] == os.cpu_count()
    assert {stage: data["clips"] for stage, data in start["data"].items()} == {"train": 8, "val": 5}
    marks = {data["sha256"] for data in start["data"].values()}
    assert len(marks) == 2 and all(len(mark) == 64 for mark in marks)


def test_the_configuration_of_a_run_repeats_it(run: Path, tmp_path: Path) -> None:
    outcome = tavlo("fit", "--config", run / "config.yaml", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert_same_end(run, tmp_path / "out")
    assert (run / "config.yaml").read_text() == (tmp_path / "out" / "config.yaml").read_text()
    one, two = (provenance.read(folder)[0]["data"] for folder in (run, tmp_path / "out"))
    assert one == two


def test_other_data_have_another_fingerprint(run: Path, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    annotation = next((tmp_path / "world" / "val" / "metadata").rglob("*.json"))
    changed = json.loads(annotation.read_text())
    changed["annotations"][0]["audio_visual_category"] = "other"
    annotation.write_text(json.dumps(changed))
    config = tiny_config(tmp_path / "world", tmp_path, max_steps=1)
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    one, two = (provenance.read(folder)[0]["data"] for folder in (run, tmp_path / "out"))
    assert one["train"] == two["train"] and one["val"] != two["val"]


def test_a_checkpoint_is_plain_data_and_knows_its_configuration(run: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        stored = load(run / "checkpoints" / name)["tavlo"]
        config = yaml.safe_load(stored["config"])
        assert config["model"]["class_path"] == "tests.helpers.tiny.Tiny"
        assert config["data"]["batch_size"] == 2
        assert config["seed_everything"] == 3


def test_the_default_folder_is_named_after_the_configuration(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tavlo("fit", "-c", tiny_config(world, tmp_path, max_steps=1)).code == 0
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "tiny.yaml"}


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_with_clipped_gradients(world: Path, tmp_path: Path, precision: str) -> None:
    config = tiny_config(world, tmp_path, precision=precision, gradient_clip_val=1.0, max_steps=1)
    outcome = tavlo("fit", "-c", config, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    (weights,) = [v for k, v in load(tmp_path / "out/checkpoints/last.ckpt")["state_dict"].items() if k == "see.weight"]
    assert weights.dtype == torch.float32 and weights.isfinite().all()


def test_a_full_folder_is_refused_and_overwritten_on_demand(world: Path, tmp_path: Path) -> None:
    words = ("fit", "-c", tiny_config(world, tmp_path, max_steps=1), "--out", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    refused = tavlo(*words)
    assert refused.code == 2
    assert "not empty" in refused.err
    assert "no config.yaml" in tavlo(*words, "--overwrite").err  # not a run's folder
    (tmp_path / "out" / "config.yaml").write_text("")
    (tmp_path / "out" / "results.json").write_text("old")
    assert tavlo(*words, "--overwrite").code == 0
    assert not (tmp_path / "out" / "results.json").exists()
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


def test_an_attempt_that_left_nothing_to_keep_does_not_stand_in_the_way(world: Path, tmp_path: Path) -> None:
    words = ("fit", "-c", tiny_config(world, tmp_path, max_steps=1), "--out", tmp_path / "out")
    assert tavlo(*words, "--data.val.init_args.root", world / "train").code == 2  # a leak
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert tavlo(*words).code == 0
    assert "not empty" in tavlo(*words).err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.system", ("--model", "os.system")),
        ("antigravity.Flight", ("--trainer.callbacks+=antigravity.Flight",)),
        ("subprocess.Popen", ("--data.train.class_path", "subprocess.Popen")),
    ],
)
def test_a_configuration_imports_nothing_but_what_is_known(
    world: Path, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    outcome = tavlo("fit", "-c", tiny_config(world, tmp_path), *words)
    assert outcome.code == 2
    assert f"names {name}" in outcome.err and f"--allow_import {name.split('.')[0]}" in outcome.err
    assert "antigravity" not in sys.modules


def test_the_python_function_imports_nothing_else_either(run: Path, tmp_path: Path) -> None:
    content = load(run / "checkpoints" / "best.ckpt")
    config = yaml.safe_load(content["tavlo"]["config"]) | {"model": {"class_path": "antigravity.Flight"}}
    content["tavlo"]["config"] = yaml.safe_dump(config)
    torch.save(content, tmp_path / "stranger.ckpt")
    with pytest.raises(CheckpointError, match=r"stranger\.ckpt: its model cannot be made: .*not allowed"):
        tavlo_pl.localize(tmp_path / "clip.mp4", checkpoint=tmp_path / "stranger.ckpt")
    assert "antigravity" not in sys.modules


def test_a_configuration_cannot_allow_itself_more(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path, callbacks=[{"class_path": "antigravity.Flight"}])
    config.write_text(config.read_text() + "allow_import: [tests, antigravity]\n")
    outcome = tavlo("fit", "-c", config, "--out", tmp_path / "out")
    assert outcome.code == 2 and "names antigravity.Flight" in outcome.err


def test_a_configuration_cannot_remove_what_always_runs(world: Path, tmp_path: Path) -> None:
    extra = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    config = tiny_config(world, tmp_path, max_epochs=1, callbacks=[extra])
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    state = load(tmp_path / "out" / "checkpoints" / "last.ckpt")["callbacks"]
    assert {"EarlyStopping", "RunCheckpoints"} <= {key.split("{")[0] for key in state}


def test_best_follows_the_metric_that_is_asked_for(run: Path, world: Path, tmp_path: Path) -> None:
    assert load(run / "checkpoints" / "best.ckpt")["callbacks"]["RunCheckpoints"]["best"].keys() == {"val/ciou_mean"}
    words = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out", "--monitor", "val/loss")
    assert tavlo(*words).code == 0
    assert load(tmp_path / "out" / "checkpoints" / "best.ckpt")["callbacks"]["RunCheckpoints"]["best"].keys() == {
        "val/loss"
    }


# checkpoints in, results out


def test_a_checkpoint_alone_is_enough_to_test(run: Path) -> None:
    outcome = tavlo("test", "--ckpt_path", run / "checkpoints" / "best.ckpt")
    assert outcome.code == 0, outcome.err
    assert "single_sound" in outcome.out
    assert {path.name for path in (run / "test").iterdir()} == {
        "config.yaml",
        "run.json",
        "results.json",
        "per_sample.csv",
        "maps.npz",
    }


def test_a_checkpoint_alone_is_enough_to_validate(run: Path, tmp_path: Path) -> None:
    outcome = tavlo("validate", "--ckpt_path", run / "checkpoints" / "last.ckpt", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "val/ciou_mean" in outcome.out


def test_predict_writes_a_map_and_a_film_for_each_video(run: Path, world: Path, tmp_path: Path) -> None:
    words = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--data.root", world / "test" / "video")
    outcome = tavlo("predict", *words, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    films = {path.stem for path in (world / "test" / "video").iterdir()}
    for suffix in (".npz", ".mp4", ".jpg", ".sources.json"):
        assert {path.name.removesuffix(suffix) for path in (tmp_path / "out").glob(f"*{suffix}")} == films
    assert (tmp_path / "out" / "index.html").is_file()
    again = tavlo("predict", *words, "--out", tmp_path / "out")
    assert f"{len(films)} finished before" in again.out
    (tmp_path / "bad.mp4").write_text("<html>")
    bad = tavlo("predict", *words[:2], "--data.root", tmp_path / "*.mp4", "--out", tmp_path / "out")
    assert bad.code == 1 and "bad.mp4: not a media file" in bad.err


def test_the_threshold_of_the_last_validation_is_in_the_checkpoints_and_decides_what_is_visible(
    run: Path, world: Path, tmp_path: Path
) -> None:
    stored = {name: load(run / "checkpoints" / name)["tavlo"]["threshold"] for name in ("best.ckpt", "last.ckpt")}
    assert all(-1 < threshold < 1 for threshold in stored.values())
    video = next((world / "test" / "video").iterdir())
    old = load(run / "checkpoints" / "best.ckpt")
    del old["tavlo"]["threshold"]
    torch.save(old, tmp_path / "old.ckpt")
    for path, threshold in ((run / "checkpoints" / "best.ckpt", stored["best.ckpt"]), (tmp_path / "old.ckpt", None)):
        words = ("--ckpt_path", path, "--data.root", video, "--films", "false", "--out", tmp_path / "out")
        outcome = tavlo("predict", *words, "--maps_per_second", "6")
        assert outcome.code == 0, outcome.err
        assert ("the checkpoint holds no threshold" in outcome.out) == (threshold is None)
        told = json.loads((tmp_path / "out" / f"{video.stem}.sources.json").read_text())
        assert told["threshold"] == threshold
        assert {step["visible"] for step in told["steps"]} <= ({None} if threshold is None else {True, False})
        found = tavlo_pl.localize(video, checkpoint=path, maps_per_second=6, device="cpu", allow_import=("tests",))
        assert found.threshold == threshold
        assert found.heatmap == pytest.approx(np.load(tmp_path / "out" / f"{video.stem}.npz")["heatmap"], abs=1e-3)


def test_without_a_checkpoint_the_ready_one_is_used_and_says_what_it_knows(
    run: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = next((world / "test" / "video").iterdir())
    words = ("predict", "--data.root", video, "--films", "false", "--out", tmp_path / "out")
    monkeypatch.setattr(checkpoint, "files", lambda package: tmp_path)
    absent = tavlo(*words)
    assert absent.code == 2 and "no ready checkpoint at" in absent.err and absent.err.count("\n") == 1
    with pytest.raises(CheckpointError, match="no ready checkpoint"), pytest.warns(UserWarning, match="toy world"):
        tavlo_pl.localize(video)
    (tmp_path / "weights").mkdir()
    checkpoint.release(run / "checkpoints" / "best.ckpt", tmp_path / "weights" / "world.safetensors")
    assert (tmp_path / "weights" / "world.safetensors").stat().st_mode == video.stat().st_mode  # others may read it
    outcome = tavlo(*words)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("toy world") == 1
    assert "toy world" in (tmp_path / "out" / "index.html").read_text()
    monkeypatch.chdir(tmp_path)
    assert tavlo(*words[:-2]).code == 0
    (folder,) = (tmp_path / "runs" / "predict").iterdir()  # not beside the checkpoint, in the installed package
    assert (folder / "index.html").is_file()


def test_released_weights_are_safe_tensors_that_test_and_predict_as_the_checkpoint_does(
    run: Path, world: Path, tmp_path: Path
) -> None:
    best, safe = run / "checkpoints" / "best.ckpt", tmp_path / "best.safetensors"
    checkpoint.release(best, safe)
    for path, out in ((best, "one"), (safe, "two")):
        outcome = tavlo("test", "--ckpt_path", path, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
    assert (tmp_path / "one" / "per_sample.csv").read_text() == (tmp_path / "two" / "per_sample.csv").read_text()
    assert json.loads((tmp_path / "two" / "results.json").read_text())["checkpoint"]["path"] == str(safe)
    video = next((world / "test" / "video").iterdir())
    one, two = (
        tavlo_pl.localize(video, checkpoint=path, device="cpu", allow_import=("tests",)) for path in (best, safe)
    )
    assert (one.heatmap == two.heatmap).all() and one.threshold == two.threshold
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="does not hold its configuration"):
        checkpoint.release(tmp_path / "other.ckpt", safe)


def test_flags_overrule_the_checkpoint_and_config_files_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("data: {seed: 7}")
    words = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--model.init_args.lr", "0.5", "-c")
    assert tavlo("test", *words, tmp_path / "more.yaml", "--out", tmp_path / "out").code == 0
    ran = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert ran["model"]["init_args"]["lr"] == 0.5
    assert ran["data"]["seed"] == 7
    assert ran["data"]["batch_size"] == 2  # the checkpoint's


def test_lightning_still_reads_the_checkpoint_where_we_stop_it() -> None:
    """Canary: without the override the checkpoint's values would win over flags (Lightning 2.6)."""
    assert callable(lightning_cli.LightningCLI._parse_ckpt_path)
    assert "_parse_ckpt_path" in TavloCLI.__dict__
    assert "_parse_ckpt_path" in lightning_cli.LightningCLI.__init__.__code__.co_names


def test_random_weights_are_tested_only_on_demand(world: Path, tmp_path: Path) -> None:
    words = ("test", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert tavlo(*words).code == 2
    assert tavlo(*words, "--allow_untrained").code == 0


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, traced: Path) -> None:
        self.traced = traced

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.traced),)


@pytest.mark.parametrize("verb", ["fit", "test", "predict", "diagnose"])
def test_a_checkpoint_runs_no_code(world: Path, tmp_path: Path, verb: str) -> None:
    torch.save({"state_dict": {}, "tavlo": Bomb(tmp_path / "owned")}, tmp_path / "bomb.ckpt")
    words = ("-c", tiny_config(world, tmp_path), "--ckpt_path", tmp_path / "bomb.ckpt", "--out", tmp_path / "out")
    outcome = tavlo(verb, *words, *(("--data.root", world) if verb == "predict" else ()))
    assert outcome.code == 2, outcome.err
    assert "bomb.ckpt" in outcome.err
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"state_dict": {}, "tavlo": 3}, {"tavlo": {"config": "][", "version": "0"}}]
)
def test_a_file_of_plain_values_that_is_no_checkpoint_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.ckpt")
    outcome = tavlo("test", "--ckpt_path", tmp_path / "odd.ckpt", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_damaged_checkpoint_and_one_of_another_model_are_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    damaged = tavlo("test", "--ckpt_path", tmp_path / "bad.ckpt")
    assert damaged.code == 2
    assert "bad.ckpt cannot be read" in damaged.err
    words = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--model.init_args.width", "5")
    other = tavlo("test", *words, "--out", tmp_path / "out")
    assert other.code == 2
    assert "do not fit" in other.err


def test_a_failed_run_says_so_and_leaves_its_traceback(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiny, "training_loss", lambda *_: 1 / 0)
    outcome = tavlo("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in (tmp_path / "out" / "error.log").read_text()


# stopping and going on


def press(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail() -> None:
    raise ValueError("the disk is full")


@pytest.mark.parametrize(
    ("method", "call", "act", "code", "step"),
    [
        ("training_step", 2, press(signal.SIGINT), 130, 2),
        ("training_step", 6, press(signal.SIGTERM), 143, 6),
        ("training_step", 4, press(signal.SIGINT), 130, 4),  # the last of an epoch
        ("validation_step", 2, press(signal.SIGINT), 130, 4),
        ("validation_step", 3, fail, 1, 4),
        ("training_step", 8, press(signal.SIGINT), 130, 8),  # the last of all
    ],
    ids=["early", "term", "epoch-end", "validation", "validation-fails", "end"],
)
def test_a_stopped_run_goes_on_to_the_same_weights(
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
    words = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        interrupt(patch, method, call, act)
        stopped = tavlo(*words)
    assert stopped.code == code, stopped.err
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == step
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed = tavlo(*words, "--ckpt_path", "last")
    assert resumed.code == 0, resumed.err
    assert_same_end(run, tmp_path / "out")


def test_a_run_folder_is_enough_to_go_on(
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


def test_an_exception_in_training_leaves_a_checkpoint_to_go_on_from(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        interrupt(patch, "training_step", 3, fail)
        assert tavlo(*words).code == 1
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == 2
    assert tavlo(*words, "--ckpt_path", "last").code == 0
    assert load(tmp_path / "out" / "checkpoints" / "last.ckpt")["global_step"] == 8


def test_a_long_epoch_is_saved_in_between(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SAVE_EVERY_S", 0.0)
    saved = []
    monkeypatch.setattr(
        checkpoints.RunCheckpoints, "_save_last", lambda self, trainer: saved.append(trainer.global_step)
    )
    config = tiny_config(world, tmp_path, max_epochs=1, limit_val_batches=0)
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    assert saved == [1, 2, 3, 4]


# two processes


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_two_processes_test_to_the_numbers_of_one(run: Path, world: Path, tmp_path: Path) -> None:
    checkpoint = run / "checkpoints" / "best.ckpt"

    def in_process(rank: int, processes: int) -> int:
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(processes)}
        distributed = f"--trainer.devices {processes} --trainer.strategy ddp --out {tmp_path / 'two'}".split()
        return tavlo("test", "--ckpt_path", checkpoint, *distributed).code

    assert run_processes(2, in_process) == [0, 0]
    assert tavlo("test", "--ckpt_path", checkpoint, "--out", tmp_path / "one").code == 0
    one, two = (read_rows(tmp_path / name / "per_sample.csv") for name in ("one", "two"))
    for column in one[0]:
        values = [[row[column] for row in rows] for rows in (one, two)]
        if column.endswith("/confidence"):  # a mean of raw scores, whose last digit depends on the batch's other clips
            assert [*map(float, values[0])] == pytest.approx([*map(float, values[1])], abs=1e-6)
        else:
            assert values[0] == values[1], column
    assert len(list((world / "test" / "video").iterdir())) % 2  # so that one clip is read twice


@pytest.mark.slow
def test_the_demos_model_repeats_bit_for_bit_whatever_the_number_of_workers(world: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"data": data_config(world, image_size=64)}))
    trainer = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--trainer.enable_progress_bar", "false"]
    words = ("fit", "-c", ROOT / "configs/exp/demo.yaml", "-c", tmp_path / "tiny.yaml", *trainer)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for workers in (0, 2):
            outcome = tavlo(*words, "--data.num_workers", workers, "--out", tmp_path / str(workers))
            assert outcome.code == 0, outcome.err
    assert_same_end(tmp_path / "0", tmp_path / "2")


@pytest.mark.slow
def test_the_command_itself_starts_a_second_process(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path, devices=2, strategy="ddp", max_epochs=1)
    environment = {
        key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")
    }
    command = [sys.executable, "-m", "tavlo_pl"]
    environment["PYTHONPATH"] = str(ROOT)

    def call(*words: object) -> None:
        told = [*command, *map(str, words), "--allow_import", "tests.helpers"]
        subprocess.run(told, cwd=tmp_path, env=environment, check=True, timeout=120)

    call("fit", "-c", config)
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()  # one, although the second process has a clock of its own
    assert load(folder / "checkpoints" / "last.ckpt")["global_step"] == 2
    call("test", "--ckpt_path", folder / "checkpoints" / "best.ckpt", "--trainer.devices", 2)
    assert (folder / "test" / "results.json").is_file()
