"""From shards to a trained model: two processes, kills in the middle, and the same command again."""

import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from tavlo_pl.callbacks import checkpoints
from tests.helpers.cli import tavlo
from tests.helpers.processes import run_processes
from tests.helpers.run import tiny_config
from tests.helpers.tiny import Tiny

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def config(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run on shards of the tiny world, everything random switched on."""
    folder = tmp_path_factory.mktemp("shards")
    source = f"--source tavlo_pl.data.datasets.VGGSound --source.root {world / 'train'} --out {folder / 'out'}"
    form = "--segments 3 --duration_s 2 --image_size 48 --clips_per_shard 3 --workers 1"
    outcome = tavlo("data", "shard", *source.split(), *form.split())
    assert outcome.code == 0, outcome.err
    assert "3 shards, 8 clips, 0 of them unreadable" in outcome.out
    path = tiny_config(world, folder)
    content = yaml.safe_load(path.read_text())
    content["data"] |= {
        "train": {"class_path": "tavlo_pl.data.shards.Shards", "init_args": {"root": str(folder / "out")}},
        "augment": {"crop_scale": 0.5, "colour": 0.3, "gain_db": 6.0, "mask_time_s": 0.5, "mask_bands": 4},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.slow
def test_two_killed_processes_resume_exactly(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SAVE_EVERY_S", 0.0)

    def fit(rank: int, processes: int, name: str) -> tuple[int, list[tuple[int, ...]]]:
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(processes)}
        seen: list[tuple[int, ...]] = []
        step = Tiny.training_step

        def watched(self: Tiny, batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
            if name == "killed" and self.global_step == 3 and not (tmp_path / "dead").exists():
                (tmp_path / f"dead{rank}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(tuple(batch["index"].tolist()))
            return step(self, batch, number)

        monkeypatch.setattr(Tiny, "training_step", watched)
        distributed = f"--trainer.devices {processes} --trainer.strategy ddp --ckpt_path last".split()
        return tavlo("fit", "-c", config, "--out", tmp_path / name, *distributed).code, seen

    whole = run_processes(2, fit, "whole")
    assert [code for code, _ in whole] == [0, 0]
    for epoch in (slice(0, 2), slice(2, 4)):
        shown = [index for _, batches in whole for batch in batches[epoch] for index in batch]
        assert sorted(shown) == list(range(8))

    with pytest.raises(RuntimeError, match="died without a result"):
        run_processes(2, fit, "killed")
    (tmp_path / "dead").touch()
    assert torch.load(tmp_path / "killed" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    resumed = run_processes(2, fit, "killed")
    assert [code for code, _ in resumed] == [0, 0]
    assert [batches for _, batches in resumed] == [batches[3:] for _, batches in whole]
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "killed")[name]), name


def test_one_command_begins_a_run_and_goes_on_with_it(config: Path, tmp_path: Path) -> None:
    words = ("fit", "-c", config, "--out", tmp_path / "run", "--ckpt_path", "last", "--trainer.max_steps", 1)
    assert tavlo(*words).code == 0
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()  # killed before the first checkpoint
    assert tavlo(*words).code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    outcome = tavlo("fit", "-c", config, "--out", tmp_path / "mine", "--ckpt_path", "last")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "no checkpoint at" in outcome.err


def test_shards_of_another_format_are_refused(config: Path, tmp_path: Path) -> None:
    outcome = tavlo("fit", "-c", config, "--out", tmp_path / "run", "--data.clip.segments", 4)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "do not fit data.clip.segments 4" in outcome.err
    source = ("data", "shard", "--source", "tavlo_pl.data.datasets.VGGSound", "--source.root", "gone", "--out", "x")
    outcome = tavlo(*source)
    assert (outcome.code, "gone" in outcome.err, outcome.err.count("\n")) == (2, True, 1)
