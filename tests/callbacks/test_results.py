import csv
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from tavlo_pl import __version__
from tavlo_pl.callbacks.results import MapKeeper, ResultsWriter
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.run.results import SampleMaps
from tavlo_pl.types import Scenario, Targets
from tests.helpers.processes import run_processes
from tests.helpers.suite import flags, protocol

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
        next_segment=torch.tensor([0, 1]),
        blend=torch.zeros(2),
        index=number,
        clip=number,
        scenarios=flags(Scenario.SINGLE_SOUND, Scenario.OFF_SCREEN),
        cross_event=torch.zeros(2, dtype=torch.bool),
        time_s=torch.zeros(2, dtype=torch.float64),
        sources=torch.ones(2, dtype=torch.int64),
        sample_id=[f"clip{n}/00012/any" for n in number],
        category=['a "dog", barking', "cat"],
        cue=["", ""],
    )
    return {
        "index": number,
        "targets": targets,
        "frame_time": torch.tensor([[0.25, 0.75]]) + number[:, None],
        "sample_id": [f"clip{n}" for n in number],
        "path": [f"videos/clip{n}.mp4" for n in number],
    }


class UpperLeft(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.test_suite = LocalizationSuite(protocol())

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        heatmap = torch.zeros(2, 2, 4, 4)
        heatmap[:, :, 0, 0] = 1
        heatmap[:, :, 3, 3] = batch["index"][:, None] / 10
        self.test_suite.update({"model": heatmap}, batch["targets"])
        return {"heatmap": heatmap}


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
        callbacks=[ResultsWriter(folder, data="made up", seed=7, command="tavlo test x", checkpoint=checkpoint)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader([batch(0), batch(2)], batch_size=None)
    trainer.test(UpperLeft(), loader, ckpt_path=checkpoint, verbose=False, weights_only=True)


def test_results_say_what_was_measured_with_what(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run/test", checkpoint)
    left = sorted(path.name for path in (tmp_path / "run/test").iterdir())
    assert left == ["maps.npz", "per_sample.csv", "results.json"]
    results = json.loads((tmp_path / "run/test/results.json").read_text())
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert results["checkpoint"] == {"path": str(checkpoint), "sha256": digest}
    assert results["version"] == __version__
    assert results["seed"] == 7
    assert results["data"] == "made up"
    assert results["command"] == "tavlo test x"
    assert 0 < results["wall_time_s"] < 60
    assert results["parameters"] == 1 and results["inference_s"] is None  # this test step calls no forward
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
    assert rows[0]["model/tn_rate"] == ""
    assert rows[1]["model/top_tenth"] == ""


def test_maps_and_truth_of_every_sample_are_kept_to_be_drawn(tmp_path: Path) -> None:
    run(tmp_path, None)
    maps = SampleMaps.read(tmp_path / "maps.npz")
    assert maps.sample_id.tolist() == [f"clip{n}/00012/any" for n in range(4)]
    assert maps.heatmap.dtype == np.float16
    for sample in range(4):
        showing, segment = maps.showing[sample], maps.segment[sample]
        assert segment == sample % 2
        assert maps.clip[showing] == f"clip{sample}"
        assert maps.path[showing] == str(Path.cwd() / f"videos/clip{sample}.mp4")
        assert maps.frame_time_s[showing, segment] == sample + (0.75 if sample % 2 else 0.25)
        assert maps.heatmap[showing, segment, 3, 3] == np.float16(sample / 10)
        assert maps.truth(sample).sum() == (0 if sample % 2 else 64)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["data_fingerprint"] == maps.fingerprint()


def test_results_without_maps_remove_those_of_an_earlier_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, None)
    step = UpperLeft.test_step
    monkeypatch.setattr(UpperLeft, "test_step", lambda *args: step(*args) and None)
    run(tmp_path, None)
    assert not (tmp_path / "maps.npz").exists()
    assert json.loads((tmp_path / "results.json").read_text())["data_fingerprint"] is None


def keep(rank: int, processes: int) -> SampleMaps | None:
    """Every process sees another share of three batches, the last ones repeated to make the shares even."""
    keeper = MapKeeper()
    for number in range(-(-3 // processes)):
        first = 2 * min(number * processes + rank, 2)
        heatmap = torch.full((2, 2, 4, 4), float(first)) + torch.tensor([0.0, 0.5])[:, None, None, None]
        keeper.update(heatmap, batch(first))  # type: ignore[arg-type]
    return keeper.compute()


def test_two_processes_keep_what_one_keeps() -> None:
    alone = keep(0, 1)
    assert alone is not None and len(alone.sample_id) == 6
    for shared in run_processes(2, keep):
        for name, value in alone._asdict().items():
            assert np.array_equal(getattr(shared, name), value), name


def test_random_weights_are_not_passed_off_as_a_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, None)
    assert json.loads((tmp_path / "results.json").read_text())["checkpoint"] is None


def test_other_processes_compute_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    suite = SimpleNamespace(compute=lambda: asked.append("compute"), samples=lambda: asked.append("samples"))
    trainer: Any = SimpleNamespace(is_global_zero=False)
    model: Any = SimpleNamespace(test_suite=suite)
    writer = ResultsWriter(tmp_path / "out")
    writer._maps = SimpleNamespace(compute=lambda: asked.append("maps"))  # type: ignore[assignment]
    writer.on_test_end(trainer, model)
    assert asked == ["compute", "samples", "maps"]
    assert not (tmp_path / "out").exists()
    assert not capsys.readouterr().out
