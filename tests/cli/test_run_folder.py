"""The run folder of ``fit``, and limits of configurations."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.errors import CheckpointError
from tavlo_pl.run import provenance
from tests.helpers.cli import tavlo
from tests.helpers.run import assert_same_end, load, tiny_config

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore")


def test_run_folder_holds_exactly_these_files(run: Path) -> None:
    left = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    events = {name for name in left if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert left - events == {"config.yaml", "run.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}


def test_provenance_has_command_code_machine_and_data(run: Path, world: Path) -> None:
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


def test_config_of_a_run_repeats_it(run: Path, tmp_path: Path) -> None:
    outcome = tavlo("fit", "--config", run / "config.yaml", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert_same_end(run, tmp_path / "out")
    assert (run / "config.yaml").read_text() == (tmp_path / "out" / "config.yaml").read_text()
    one, two = (provenance.read(folder)[0]["data"] for folder in (run, tmp_path / "out"))
    assert one == two


def test_changed_data_change_the_fingerprint(run: Path, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    annotation = next((tmp_path / "world" / "val" / "metadata").rglob("*.json"))
    changed = json.loads(annotation.read_text())
    changed["annotations"][0]["audio_visual_category"] = "other"
    annotation.write_text(json.dumps(changed))
    config = tiny_config(tmp_path / "world", tmp_path, max_steps=1)
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    one, two = (provenance.read(folder)[0]["data"] for folder in (run, tmp_path / "out"))
    assert one["train"] == two["train"] and one["val"] != two["val"]


def test_checkpoint_is_plain_data_with_its_config(run: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        stored = load(run / "checkpoints" / name)["tavlo"]
        config = yaml.safe_load(stored["config"])
        assert config["model"]["class_path"] == "tests.helpers.tiny.Tiny"
        assert config["data"]["batch_size"] == 2
        assert config["seed_everything"] == 3


def test_default_folder_is_named_after_the_config(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    weights = load(tmp_path / "out" / "checkpoints" / "last.ckpt")["state_dict"]["visual.weight"]
    assert weights.dtype == torch.float32 and weights.isfinite().all()


def test_full_folder_needs_overwrite(world: Path, tmp_path: Path) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path, max_steps=1), "--out", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("unchanged")
    refused = tavlo(*args)
    assert refused.code == 2
    assert "not empty" in refused.err
    assert "no config.yaml" in tavlo(*args, "--overwrite").err  # not a run folder
    (tmp_path / "out" / "config.yaml").write_text("")
    (tmp_path / "out" / "results.json").write_text("old")
    assert tavlo(*args, "--overwrite").code == 0
    assert not (tmp_path / "out" / "results.json").exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "unchanged"


def test_failed_start_does_not_block_the_folder(world: Path, tmp_path: Path) -> None:
    args = ("fit", "-c", tiny_config(world, tmp_path, max_steps=1), "--out", tmp_path / "out")
    assert tavlo(*args, "--data.val.init_args.root", world / "train").code == 2  # a leak
    assert not (tmp_path / "out" / "checkpoints").exists()
    assert tavlo(*args).code == 0
    assert "not empty" in tavlo(*args).err


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("os.system", ("--model", "os.system")),
        ("antigravity.Flight", ("--trainer.callbacks+=antigravity.Flight",)),
        ("subprocess.Popen", ("--data.train.class_path", "subprocess.Popen")),
    ],
)
def test_config_imports_known_packages_only(world: Path, tmp_path: Path, name: str, args: tuple[str, ...]) -> None:
    outcome = tavlo("fit", "-c", tiny_config(world, tmp_path), *args)
    assert outcome.code == 2
    assert f"names {name}" in outcome.err and f"--allow_import {name.split('.', 1)[0]}" in outcome.err
    assert "antigravity" not in sys.modules


def test_localize_imports_known_packages_only(run: Path, tmp_path: Path) -> None:
    content = load(run / "checkpoints" / "best.ckpt")
    config = yaml.safe_load(content["tavlo"]["config"]) | {"model": {"class_path": "antigravity.Flight"}}
    content["tavlo"]["config"] = yaml.safe_dump(config)
    torch.save(content, tmp_path / "untrusted.ckpt")
    with pytest.raises(CheckpointError, match=r"untrusted\.ckpt: its model cannot be created: .*names antigravity"):
        tavlo_pl.localize(tmp_path / "clip.mp4", checkpoint=tmp_path / "untrusted.ckpt")
    assert "antigravity" not in sys.modules


def test_config_cannot_set_allow_import(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path, callbacks=[{"class_path": "antigravity.Flight"}])
    config.write_text(config.read_text() + "allow_import: [tests, antigravity]\n")
    outcome = tavlo("fit", "-c", config, "--out", tmp_path / "out")
    assert outcome.code == 2 and "names antigravity.Flight" in outcome.err


def test_config_cannot_remove_default_callbacks(world: Path, tmp_path: Path) -> None:
    extra = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    config = tiny_config(world, tmp_path, max_epochs=1, callbacks=[extra])
    assert tavlo("fit", "-c", config, "--out", tmp_path / "out").code == 0
    state = load(tmp_path / "out" / "checkpoints" / "last.ckpt")["callbacks"]
    assert {"EarlyStopping", "RunCheckpoints"} <= {key.split("{")[0] for key in state}


def test_monitor_chooses_the_best_checkpoint(run: Path, world: Path, tmp_path: Path) -> None:
    assert load(run / "checkpoints" / "best.ckpt")["callbacks"]["RunCheckpoints"]["best"].keys() == {"val/ciou_mean"}
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out", "--monitor", "val/loss")
    assert tavlo(*args).code == 0
    assert load(tmp_path / "out" / "checkpoints" / "best.ckpt")["callbacks"]["RunCheckpoints"]["best"].keys() == {
        "val/loss"
    }
