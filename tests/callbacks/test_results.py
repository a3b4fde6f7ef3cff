import csv
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from tavlo_pl import __version__
from tavlo_pl.callbacks.results import ResultsWriter
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import Scenario, Targets

SIZE = 32


def batch(first: int) -> dict[str, Any]:
    """Two clips, one with its source in the upper left, one with it off-screen."""
    mask = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    mask[0, :8, :8] = True
    number = torch.arange(first, first + 2)
    targets = Targets(
        mask=mask,
        row=torch.arange(2),
        segment=torch.tensor([0, 1]),
        index=number,
        clip=number,
        scenario=torch.tensor([Scenario.SINGLE_SOUND.id, Scenario.OFF_SCREEN.id]),
        cross_event=torch.zeros(2, dtype=torch.bool),
        sample_id=[f"clip{n}/00012/any" for n in number],
        category=['a "dog", barking', "cat"],
    )
    return {"index": number, "targets": targets}


class UpperLeft(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.test_suite = LocalizationSuite(size=SIZE)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        heatmap = torch.zeros(2, 2, 4, 4)
        heatmap[:, :, 0, 0] = 1
        self.test_suite.update({"model": heatmap}, batch["targets"])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "best.ckpt"
    state = {"state_dict": UpperLeft().state_dict(), "pytorch-lightning_version": "2.6.6"}
    torch.save(state | {"epoch": 0, "global_step": 0}, path)
    return path


def run(folder: Path, checkpoint: Path | None) -> None:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[ResultsWriter(folder, data="made up", seed=7)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader([batch(0), batch(2)], batch_size=None)
    trainer.test(UpperLeft(), loader, ckpt_path=checkpoint, verbose=False, weights_only=True)


def test_results_say_what_was_measured_with_what(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run/test", checkpoint)
    assert sorted(path.name for path in (tmp_path / "run/test").iterdir()) == [
        "per_sample.csv",
        "results.json",
    ]
    results = json.loads((tmp_path / "run/test/results.json").read_text())
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert results["checkpoint"] == {"path": str(checkpoint), "sha256": digest}
    assert results["version"] == __version__
    assert results["seed"] == 7
    assert results["data"] == "made up"
    assert 0 < results["wall_time_s"] < 60
    single = results["metrics"]["scenarios"]["single_sound"]
    assert single["samples"] == 2
    assert single["rows"]["model"]["top_tenth"]["ciou_mean"] > 0.5
    shown = capsys.readouterr().out
    assert f"{100 * single['rows']['model']['top_tenth']['ciou_mean']:.1f}" in shown
    assert "rule top_tenth" in shown


def test_every_sample_has_its_line(tmp_path: Path) -> None:
    run(tmp_path, None)
    with (tmp_path / "per_sample.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == ["clip0", "clip1", "clip2", "clip3"]
    assert rows[0]["category"] == 'a "dog", barking'
    assert float(rows[0]["model/top_tenth"]) > 0.5
    assert rows[0]["model/universal:0.9"] == ""
    assert rows[1]["model/top_tenth"] == ""


def test_random_weights_are_not_passed_off_as_a_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, None)
    assert json.loads((tmp_path / "results.json").read_text())["checkpoint"] is None


def test_other_processes_compute_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []
    suite = SimpleNamespace(compute=lambda: asked.append("compute"), samples=lambda: asked.append("samples"))
    trainer: Any = SimpleNamespace(is_global_zero=False)
    model: Any = SimpleNamespace(test_suite=suite)
    ResultsWriter(tmp_path / "out").on_test_end(trainer, model)
    assert asked == ["compute", "samples"]
    assert not (tmp_path / "out").exists()
    assert not capsys.readouterr().out
