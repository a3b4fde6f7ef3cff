"""A new metric is one file, one line and one test: a made-up one appears everywhere."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tavlo_pl.metrics.base import LocalizationMetric
from tavlo_pl.metrics.figure import Figure
from tavlo_pl.metrics.recorder import Column
from tavlo_pl.metrics.suite import METRICS
from tavlo_pl.report.compare import compare
from tavlo_pl.report.load import read_runs
from tavlo_pl.report.page import report_page
from tavlo_pl.viz.table import beyond_table
from tests.helpers.cli import tavlo


class TopScore(LocalizationMetric):
    """The highest raw score of a map."""

    name: ClassVar[str] = "top_score"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (Figure("top_score", "highest score", unit="raw", column="top_score"),)
    columns: ClassVar[tuple[Column, ...]] = (Column("top_score", lambda maps: maps.preds.amax(1).double()),)


def score(folder: Path, highest: dict[str, float]) -> Path:
    """Scores one map a sample, with that highest score."""
    entries = [{"file": name, "class": "dog", "bbox": [[0.0, 0.0, 0.5, 0.5]]} for name in highest]
    (folder / "maps").mkdir(parents=True)
    (folder / "vggss.json").write_text(json.dumps(entries))
    for name, value in highest.items():
        np.savez(folder / "maps" / f"{name}.npz", heatmap=np.full((1, 4, 4), value))
    words = ("--annotations", folder / "vggss.json", "--predictions", folder / "maps")
    options = ("--size", 32, "--interpolation", "bilinear")
    outcome = tavlo("score", "--dataset", "vggss", *words, *options, "--out", folder / "out" / "results.json")
    assert outcome.code == 0, outcome.err
    assert "highest score" in outcome.out
    return folder / "out"


def test_new_metric_is_in_results_tables_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.metrics.suite.METRICS", (*METRICS, TopScore))
    folder = score(tmp_path / "a", {"x": 0.25, "y": 0.75})
    results = json.loads((folder / "results.json").read_text())
    assert results["scenarios"]["all"]["top_score"] == {"value": 0.5, "low": 0.25, "high": 0.75}
    on_screen = results["metrics"]["scenarios"]["on_screen"]["rows"]
    assert on_screen["model"]["top_half"]["top_score"] == 0.5
    assert on_screen["whole_image"]["top_half"]["top_score"] == 1.0

    table = beyond_table(results["metrics"])
    assert table is not None
    cells = {line[0]: dict(zip(table.header, line, strict=True)) for line in table.rows}
    assert cells["highest score"]["model"] == "0.500 ±0.250"

    (run,) = read_runs([folder])
    assert run.figures[-1].name == "top_score"
    assert run.model_values("top_score").tolist() == [0.25, 0.75]
    assert "highest score" in report_page([run], [], {}, [])

    second = score(tmp_path / "b", {"x": 0.5, "y": 1.0})
    differences = compare(*read_runs([folder, second])).differences["on_screen"]["top_half"]
    assert differences["top_score"].difference == 0.25
    assert differences["top_score"].verdict == "higher"
