"""Help and error messages of the command line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tavlo_pl.commands.short_help import OPTIONS
from tests.helpers.cli import tavlo
from tests.helpers.run import load, tiny_config
from tests.helpers.tiny import Tiny

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore")


def test_version_and_help_do_not_import_torch() -> None:
    code = "import sys, tavlo_pl.__main__ as m; m.main(['--version']); m.main([]); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tavlo 0.")
    assert not {"torch", "ray", "timm", "transformers", "onnx", "huggingface_hub"} & set(lines[-1].split())
    for command in ("fit", "validate", "test", "predict", "data"):
        assert any(line.strip().startswith(command) for line in lines)


def test_unknown_command_suggests_the_nearest() -> None:
    outcome = tavlo("tset")
    assert (outcome.code, outcome.err) == (2, "tavlo: unknown command 'tset'; did you mean test?\n")


def test_help_of_data_synth_lists_its_options() -> None:
    outcome = tavlo("data", "synth", "--help")
    assert outcome.code == 0
    assert "difficulty" in outcome.out
    assert "{easy,standard,hard}" in outcome.out


@pytest.mark.parametrize(
    ("args", "expected"),
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
def test_mistake_prints_one_sentence_and_exits_with_2(args: str, expected: str) -> None:
    outcome = tavlo(*args.split())
    assert outcome.code == 2
    assert expected in outcome.err
    assert outcome.err.count("\n") == 1


def test_missing_clips_name_the_folder(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path)
    outcome = tavlo("fit", "-c", config, "--data.train.init_args.root", tmp_path / "gone", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert str(tmp_path / "gone") in outcome.err
    assert outcome.err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("predict --ckpt x.ckpt a.mp4", "did you mean --ckpt_path?"),
        ("predict --root videos", "did you mean --data.root?"),
        ("fit --batch_size 4", "did you mean --data.batch_size?"),
        ("fit --data.batchsize 4", "did you mean --data.batch_size?"),
        ("fit --trainer.max_epoch 4", "did you mean --trainer.max_epochs?"),
        ("test --overwrit", "needs trained weights"),
        ("data synth --out x --train_clip 3", "did you mean --train_clips?"),
        ("score --prediction x", "did you mean --predictions?"),
        ("fit", "fit needs a model and data: give a configuration such as -c configs/exp/demo.yaml"),
        ("fit --trainer.max_epochs 3", "-c configs/exp/demo.yaml"),
        ("predict", "tavlo predict VIDEO..."),
        ("predict --data s.mp4", "give videos as arguments: tavlo predict s.mp4"),
        ("fit --data=videos", "--data.train.init_args.root videos"),
        ("fit --model best.ckpt", "give a checkpoint as --ckpt_path best.ckpt"),
        ("predict a.mp4 --data.root b.mp4", "give all videos as arguments, or all by --data.root"),
        ("predict nowhere.mp4", "nowhere.mp4: no video there"),
    ],
)
def test_first_tries_say_what_to_do(args: str, expected: str) -> None:
    outcome = tavlo(*args.split())
    assert outcome.code == 2
    assert expected in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("video", ["none.mp4", "camera:0"])
def test_refused_predict_leaves_no_folder(video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = tavlo("predict", "--data.root", video)
    assert outcome.code == 2 and video in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", OPTIONS)
def test_short_help_has_the_first_options(command: str) -> None:
    for flag in ("-h", "--help"):
        outcome = tavlo(command, flag)
        assert outcome.code == 0 and outcome.out.startswith(f"usage: tavlo {command}")
        assert len(outcome.out.splitlines()) < 20 and "--help_all" in outcome.out


@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_options_of_the_short_help_exist(command: str) -> None:
    outcome = tavlo(command, "--help_all")
    assert outcome.code == 0
    named = {option.split()[0] for option, _ in OPTIONS[command]}
    assert named <= set(re.findall(r"-[-\w.]+", outcome.out)) and len(named) == 10


def test_missing_data_is_noticed_before_the_model(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    real = Tiny.__init__
    monkeypatch.setattr(
        Tiny, "__init__", lambda self, *args, **kwargs: (made.append(self), real(self, *args, **kwargs))[1]
    )
    config = tiny_config(world, tmp_path)
    gone = tmp_path / "gone"
    for stage, command in (("train", ["fit"]), ("val", ["fit"]), ("test", ["test", "--allow_untrained"])):
        words = [f"--data.{stage}.init_args.root", gone, "--out", tmp_path / "out"]
        outcome = tavlo(*command, "-c", config, *words)
        assert outcome.code == 2 and str(gone) in outcome.err
    assert not made


def test_fit_continues_a_checkpoint_in_a_new_folder(run: Path, tmp_path: Path) -> None:
    best = run / "checkpoints" / "last.ckpt"
    copy = tmp_path / "copy.ckpt"
    copy.write_bytes(best.read_bytes())
    alone = tavlo("fit", "--ckpt_path", copy, "--out", tmp_path / "two")
    assert alone.code == 2 and "fit needs clips: set data.train" in alone.err  # it stores the model, no folders
    for path, out in ((best, "one"),):
        quiet = ("--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu", "--trainer.max_epochs", 3)
        outcome = tavlo("fit", "--ckpt_path", path, "--out", tmp_path / out, *quiet)
        assert outcome.code == 0, outcome.err
        before, after = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (run, tmp_path / out))
        assert (after["model"], after["data"]) == (before["model"], before["data"])
        assert load(tmp_path / out / "checkpoints" / "last.ckpt")["global_step"] == 12
