"""The parts of a page that a short run has not: clips left out, categories, more than two runs."""

import json
from pathlib import Path
from typing import Any

from tavlo_pl.report.compare import compare
from tavlo_pl.report.examples import Film
from tavlo_pl.report.load import RunResults, read_runs
from tavlo_pl.report.page import report_page
from tests.helpers.results import write_results


def with_metrics(folder: Path, **metrics: Any) -> Path:
    """Changes what was measured."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    results["metrics"] |= metrics
    path.write_text(json.dumps(results))
    return folder


def three_runs(tmp_path: Path) -> list[RunResults]:
    """The first is the worst, the last the best."""
    values = {"a": 0.1, "b": 0.2, "c/1/off_screen": 0.9}
    better = ({name: value + step for name, value in values.items()} for step in (0.0, 0.03, 0.07))
    return read_runs([write_results(tmp_path / name, each) for name, each in zip("xyz", better, strict=True)])


def test_clips_left_out_are_listed_with_the_reason(tmp_path: Path) -> None:
    left_out = {"clips": 1, "samples": 3, "reasons": {"broken": "broken.mp4: cut <short>"}}
    runs = read_runs([with_metrics(write_results(tmp_path / "run", {"a": 0.5}), left_out=left_out)])
    text = report_page(runs, [], {}, [])
    assert "1 clips with 3 samples (broken: broken.mp4: cut &lt;short&gt;)" in text
    assert "broken.mp4: cut &lt;short&gt;" in text


def test_categories_are_plotted_with_their_counts(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5, "b": 0.3})
    scenario = json.loads((folder / "results.json").read_text())["metrics"]["scenarios"]["on_screen"]
    runs = read_runs(
        [with_metrics(folder, breakdown={"category": {"dog": scenario, "cat": scenario | {"samples": 7}}})]
    )
    text = report_page(runs, [], {}, [])
    assert "By category" in text and "By number of sources" not in text
    assert ">dog (2)<" in text and ">cat (7)<" in text


def test_later_runs_are_each_compared_with_the_first(tmp_path: Path) -> None:
    runs = three_runs(tmp_path)
    text = report_page(runs, [compare(runs[0], run) for run in runs[1:]], {}, [])
    assert "y against x, in %" in text and "z against x, in %" in text
    assert "<td>+3.0</td>" in text and "<td>+7.0</td>" in text
    assert ">x (15.0)<" in text and ">z (22.0)<" in text  # lines of the success curves
    assert text.index("z against y against x") < text.index("Comparison") < text.index("Results")


def test_a_film_that_could_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    runs = read_runs([write_results(tmp_path / "run", {"a": 0.5})])
    text = report_page(runs, [], {}, [Film("films/1.mp4", "Best: a"), Film(None, "Worst: b. No film: gone")])
    assert text.count("<video") == 1 and "Worst: b. No film: gone" in text


def test_an_empty_test_has_a_page(tmp_path: Path) -> None:
    text = report_page(read_runs([write_results(tmp_path / "run", {})]), [], {}, [])
    assert "No annotated sample was tested." in text
