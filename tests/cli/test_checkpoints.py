"""Commands that read a checkpoint."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import cli as lightning_cli

import tavlo_pl
from tavlo_pl.cli import TavloCLI
from tavlo_pl.errors import CheckpointError
from tavlo_pl.predict import checkpoint
from tests.helpers.cli import tavlo
from tests.helpers.run import load, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


def test_test_needs_the_checkpoint_only(run: Path) -> None:
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


def test_validate_needs_the_checkpoint_only(run: Path, tmp_path: Path) -> None:
    outcome = tavlo("validate", "--ckpt_path", run / "checkpoints" / "last.ckpt", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "val/ciou_mean" in outcome.out


def test_predict_writes_maps_and_overlays_of_each_video(run: Path, world: Path, tmp_path: Path) -> None:
    args = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--data.root", world / "test" / "video")
    outcome = tavlo("predict", *args, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    videos = {path.stem for path in (world / "test" / "video").iterdir()}
    for suffix in (".npz", ".mp4", ".jpg", ".sources.json"):
        assert {path.name.removesuffix(suffix) for path in (tmp_path / "out").glob(f"*{suffix}")} == videos
    assert (tmp_path / "out" / "index.html").is_file()
    again = tavlo("predict", *args, "--out", tmp_path / "out")
    assert f"{len(videos)} finished before" in again.out
    (tmp_path / "bad.mp4").write_text("<html>")
    bad = tavlo("predict", *args[:2], "--data.root", tmp_path / "*.mp4", "--out", tmp_path / "out")
    assert bad.code == 1 and "bad.mp4: not a media file" in bad.err


def test_predict_takes_videos_as_arguments(run: Path, world: Path, tmp_path: Path) -> None:
    video = next((world / "test" / "video").iterdir())
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4"))
    odd.write_bytes(video.read_bytes())
    words = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--overlay_videos", "false", "--out", tmp_path / "out")
    outcome = tavlo("predict", odd, *words, video)
    assert outcome.code == 0, outcome.err
    assert "2 videos: 2 written" in outcome.out and "Name: the results of" in outcome.out
    assert len(yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["data"]["root"]) == 2


def test_predict_uses_the_threshold_of_the_last_validation(run: Path, world: Path, tmp_path: Path) -> None:
    stored = {name: load(run / "checkpoints" / name)["tavlo"]["threshold"] for name in ("best.ckpt", "last.ckpt")}
    assert all(-1 < threshold < 1 for threshold in stored.values())
    video = next((world / "test" / "video").iterdir())
    old = load(run / "checkpoints" / "best.ckpt")
    del old["tavlo"]["threshold"]
    torch.save(old, tmp_path / "old.ckpt")
    for path, threshold in ((run / "checkpoints" / "best.ckpt", stored["best.ckpt"]), (tmp_path / "old.ckpt", None)):
        args = ("--ckpt_path", path, "--data.root", video, "--overlay_videos", "false", "--out", tmp_path / "out")
        outcome = tavlo("predict", *args, "--maps_per_second", "6")
        assert outcome.code == 0, outcome.err
        assert ("the checkpoint has no threshold" in outcome.out) == (threshold is None)
        told = json.loads((tmp_path / "out" / f"{video.stem}.sources.json").read_text())
        assert told["threshold"] == threshold
        assert {step["visible"] for step in told["steps"]} <= ({None} if threshold is None else {True, False})
        found = tavlo_pl.localize(video, checkpoint=path, maps_per_second=6, device="cpu", allow_import=("tests",))
        assert found.threshold == threshold
        assert found.heatmap == pytest.approx(np.load(tmp_path / "out" / f"{video.stem}.npz")["heatmap"], abs=1e-3)


def test_predict_without_checkpoint_uses_the_packaged_one(
    run: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = next((world / "test" / "video").iterdir())
    args = ("predict", "--data.root", video, "--overlay_videos", "false", "--out", tmp_path / "out")
    monkeypatch.setattr(checkpoint, "files", lambda package: tmp_path)
    absent = tavlo(*args)
    assert absent.code == 2 and "no packaged checkpoint at" in absent.err and absent.err.count("\n") == 1
    with (
        pytest.raises(CheckpointError, match="no packaged checkpoint"),
        pytest.warns(UserWarning, match="images and recordings"),
    ):
        tavlo_pl.localize(video)
    (tmp_path / "weights").mkdir()
    checkpoint.release(run / "checkpoints" / "best.ckpt", tmp_path / "weights" / "real.safetensors")
    assert (tmp_path / "weights" / "real.safetensors").stat().st_mode == video.stat().st_mode  # readable by other users
    outcome = tavlo(*args)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("images and recordings") == 1
    assert "images and recordings" in (tmp_path / "out" / "index.html").read_text()
    monkeypatch.chdir(tmp_path)
    assert tavlo(*args[:-2]).code == 0
    (folder,) = (tmp_path / "runs" / "predict").iterdir()  # not in the installed package
    assert (folder / "index.html").is_file()


def test_released_safetensors_give_the_same_results(run: Path, world: Path, tmp_path: Path) -> None:
    best, safe = run / "checkpoints" / "best.ckpt", tmp_path / "best.safetensors"
    checkpoint.release(best, safe)
    for path, out in ((best, "one"), (safe, "two")):
        data = () if path == best else ("-c", tiny_config(world, tmp_path))  # the data of a run is in its folder
        outcome = tavlo("test", *data, "--ckpt_path", path, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
    assert (tmp_path / "one" / "per_sample.csv").read_text() == (tmp_path / "two" / "per_sample.csv").read_text()
    assert json.loads((tmp_path / "two" / "results.json").read_text())["checkpoint"]["path"] == str(safe)
    video = next((world / "test" / "video").iterdir())
    one, two = (
        tavlo_pl.localize(video, checkpoint=path, device="cpu", allow_import=("tests",)) for path in (best, safe)
    )
    assert (one.heatmap == two.heatmap).all() and one.threshold == two.threshold
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="contains no configuration"):
        checkpoint.release(tmp_path / "other.ckpt", safe)


def test_flags_and_configs_override_the_checkpoint(run: Path, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("data: {seed: 7}")
    args = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--model.init_args.loss_weight", "0.5", "-c")
    assert tavlo("test", *args, tmp_path / "more.yaml", "--out", tmp_path / "out").code == 0
    ran = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert ran["model"]["init_args"]["loss_weight"] == 0.5
    assert ran["data"]["seed"] == 7
    assert ran["data"]["batch_size"] == 2  # from the checkpoint


@pytest.mark.slow
def test_test_does_not_replace_results_of_other_options(run: Path, tmp_path: Path) -> None:
    args = ("test", "--ckpt_path", run / "checkpoints" / "best.ckpt", "--out", tmp_path / "out")
    assert tavlo(*args).code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    refused = tavlo(*args, "--rule", "top_half")
    assert refused.code == 2 and "with other options (rule)" in refused.err
    assert tavlo(*args[:2], run / "checkpoints" / "last.ckpt", *args[3:]).code == 2
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert tavlo(*args).code == 0
    assert tavlo(*args, "--rule", "top_half", "--overwrite").code == 0


def test_lightning_reads_hyperparameters_in_parse_ckpt_path() -> None:
    """The override is needed since the checkpoint's values override flags in Lightning 2.6."""
    assert callable(lightning_cli.LightningCLI._parse_ckpt_path)
    assert "_parse_ckpt_path" in TavloCLI.__dict__
    assert "_parse_ckpt_path" in lightning_cli.LightningCLI.__init__.__code__.co_names


def test_random_weights_need_allow_untrained(world: Path, tmp_path: Path) -> None:
    args = ("test", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert tavlo(*args).code == 2
    assert tavlo(*args, "--allow_untrained").code == 0


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, traced: Path) -> None:
        self.traced = traced

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.traced),)


@pytest.mark.parametrize("command", ["fit", "test", "predict", "diagnose"])
def test_checkpoint_executes_no_code(world: Path, tmp_path: Path, command: str) -> None:
    torch.save({"state_dict": {}, "tavlo": Bomb(tmp_path / "owned")}, tmp_path / "bomb.ckpt")
    args = ("-c", tiny_config(world, tmp_path), "--ckpt_path", tmp_path / "bomb.ckpt", "--out", tmp_path / "out")
    outcome = tavlo(command, *args, *(("--data.root", world) if command == "predict" else ()))
    assert outcome.code == 2, outcome.err
    assert "bomb.ckpt" in outcome.err
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"state_dict": {}, "tavlo": 3}, {"tavlo": {"config": "][", "version": "0"}}]
)
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.ckpt")
    outcome = tavlo("test", "--ckpt_path", tmp_path / "odd.ckpt", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1


def test_damaged_or_mismatched_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    damaged = tavlo("test", "--ckpt_path", tmp_path / "bad.ckpt")
    assert damaged.code == 2
    assert "bad.ckpt cannot be read" in damaged.err
    args = ("--ckpt_path", run / "checkpoints" / "best.ckpt", "--model.init_args.width", "5")
    other = tavlo("test", *args, "--out", tmp_path / "out")
    assert other.code == 2
    assert "do not fit" in other.err
