"""Commands in several processes."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.cli import tavlo
from tests.helpers.processes import run_processes
from tests.helpers.run import assert_same_end, data_config, load, tiny_config

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore")


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_two_processes_test_like_one(run: Path, world: Path, tmp_path: Path) -> None:
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
        if column.endswith("/confidence"):  # depends on the other clips of the batch in its last digit
            assert [*map(float, values[0])] == pytest.approx([*map(float, values[1])], abs=1e-6)
        else:
            assert values[0] == values[1], column
    assert len(list((world / "test" / "video").iterdir())) % 2  # one clip is read twice


@pytest.mark.slow
def test_demo_repeats_bit_for_bit_with_any_workers(world: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({"data": data_config(world, image_size=64)}))
    trainer = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--trainer.enable_progress_bar", "false"]
    args = ("fit", "-c", ROOT / "configs/exp/demo.yaml", "-c", tmp_path / "tiny.yaml", *trainer)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for workers in (0, 2):
            outcome = tavlo(*args, "--data.num_workers", workers, "--out", tmp_path / str(workers))
            assert outcome.code == 0, outcome.err
    assert_same_end(tmp_path / "0", tmp_path / "2")


@pytest.mark.slow
def test_command_starts_a_second_process(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world, tmp_path, devices=2, strategy="ddp", max_epochs=1)
    environment = {
        key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")
    }
    command = [sys.executable, "-m", "tavlo_pl"]
    environment["PYTHONPATH"] = str(ROOT)

    def call(*args: object) -> None:
        full = [*command, *map(str, args), "--allow_import", "tests.helpers"]
        subprocess.run(full, cwd=tmp_path, env=environment, check=True, timeout=120)

    call("fit", "-c", config)
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()  # both processes use one folder
    assert load(folder / "checkpoints" / "last.ckpt")["global_step"] == 2
    call("test", "--ckpt_path", folder / "checkpoints" / "best.ckpt", "--trainer.devices", 2)
    assert (folder / "test" / "results.json").is_file()
