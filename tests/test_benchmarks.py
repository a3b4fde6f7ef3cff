"""The tables of docs/performance.md are generated from the results of the benchmarks."""

import json
from pathlib import Path

import pytest

from benchmarks import report
from tavlo_pl.viz.table import PLACE


def test_ratio_is_the_median_over_rounds_with_its_range() -> None:
    row = report.ratio("a", [2.0, 9.0, 4.0], [1.0, 3.0, 1.0], "×")
    assert (row.value, row.low, row.high) == (3.0, 2.0, 4.0)


def test_report_writes_json_results_into_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "FOLDER", tmp_path / "figures")
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    rows = [report.ratio("quick", [2.0, 3.0], [1.0, 1.0], "× slow", "5 ms", "10"), report.single("one", 1234.0, "s")]
    report.write("speed", rows)
    report.PAGE.write_text("before\n<!-- table: speed -->\nold\n<!-- end -->\nafter\n")
    report.main()
    page = report.PAGE.read_text()
    assert "| quick | 2.5 (2 to 3) | × slow | 10 | 5 ms |" in page and "| one | 1,234 |" in page and "old" not in page
    assert "python -m benchmarks.speed" in page and page.endswith("<!-- end -->\nafter\n")
    report.main()
    assert report.PAGE.read_text() == page
    assert report.read("speed")["quick"] == rows[0]
    assert {"processor", "versions", "day"} <= set(json.loads((report.FOLDER / "speed.json").read_text())["machine"])


def test_page_tables_equal_the_stored_results() -> None:
    for found in PLACE.finditer(report.PAGE.read_text()):
        assert found[0] == f"{found[1]}{report.table(found[2])}{found[3]}", f"make bench, or report: {found[2]}"
