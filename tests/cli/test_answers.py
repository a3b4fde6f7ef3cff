"""Help and error messages of the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore")


def test_version_and_help_do_not_import_torch() -> None:
    code = "import sys, tavlo_pl.__main__ as m; m.main(['--version']); m.main([]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tavlo 0.")
    assert lines[-1] == "False"
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
