"""Sections of the page: clips left out, categories, comparisons."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from tavlo_pl.report.compare import compare
from tavlo_pl.report.examples import OverlayVideo
from tavlo_pl.report.load import RunResults, read_runs
from tavlo_pl.report.page import report_page
from tavlo_pl.viz.slider import Shown
from tests.helpers.results import write_results


def with_metrics(folder: Path, **metrics: Any) -> Path:
    """Changes metrics of ``results.json``."""
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


def test_page_lists_clips_left_out_with_the_reason(tmp_path: Path) -> None:
    left_out = {"clips": 1, "samples": 3, "reasons": {"broken": "broken.mp4: cut <short>"}}
    runs = read_runs([with_metrics(write_results(tmp_path / "run", {"a": 0.5}), left_out=left_out)])
    text = report_page(runs, [], {}, [])
    assert "1 clips with 3 samples (broken: broken.mp4: cut &lt;short&gt;)" in text
    assert "broken.mp4: cut &lt;short&gt;" in text


def test_page_plots_categories_with_their_counts(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5, "b": 0.3})
    scenario = json.loads((folder / "results.json").read_text())["metrics"]["scenarios"]["on_screen"]
    runs = read_runs(
        [with_metrics(folder, breakdown={"category": {"dog": scenario, "cat": scenario | {"samples": 7}}})]
    )
    text = report_page(runs, [], {}, [])
    assert "By category" in text and "By number of sources" not in text
    assert ">dog (2)<" in text and ">cat (7)<" in text


def test_page_compares_each_later_run_with_the_first(tmp_path: Path) -> None:
    runs = three_runs(tmp_path)
    text = report_page(runs, [compare(runs[0], run) for run in runs[1:]], {}, [])
    assert "y against x, in %" in text and "z against x, in %" in text
    assert "<td>+3.0</td>" in text and "<td>+7.0</td>" in text
    assert ">x (15.0)<" in text and ">z (22.0)<" in text  # lines of the success curves
    assert text.index("z against y against x") < text.index("Comparison") < text.index("Results")


def test_page_states_why_an_overlay_video_is_missing(tmp_path: Path) -> None:
    runs = read_runs([write_results(tmp_path / "run", {"a": 0.5})])
    text = report_page(
        runs, [], {}, [OverlayVideo("videos/1.mp4", "Best: a"), OverlayVideo(None, "Worst: b. No overlay video: x")]
    )
    assert text.count("<video") == 1 and "Worst: b. No overlay video: x" in text


def test_page_of_an_empty_test(tmp_path: Path) -> None:
    text = report_page(read_runs([write_results(tmp_path / "run", {})]), [], {}, [])
    assert "No annotated sample was tested." in text


def sections_of(text: str) -> list[str]:
    return re.findall(r'<section id="(.*?)">', text)


def test_page_links_all_its_sections_in_order(tmp_path: Path) -> None:
    runs = three_runs(tmp_path)
    sample = Shown("a", [], None, 1.0, np.zeros((4, 4), bool), {"x": np.zeros((2, 2))}, {"x": "cIoU 0.1"})
    full = report_page(runs, [compare(*runs[:2])], {"Best": [sample]}, [OverlayVideo("videos/1.mp4", "a")])
    assert len(sections_of(full)) == 7
    for text in (full, report_page(runs[:1], [], {}, [])):
        assert re.findall(r'<a href="#(.*?)">', text) == sections_of(text)


def test_page_escapes_hostile_names(tmp_path: Path) -> None:
    hostile = "<img src=x onerror='a()'>\" {{ 7 * 7 }}"
    folder = with_metrics(
        write_results(tmp_path / "run", {"a": 0.5}, command=hostile, data=hostile),
        left_out={"clips": 1, "samples": 3, "reasons": {hostile: hostile}},
    )
    run = read_runs([folder])[0]._replace(name=hostile)
    sample = Shown(hostile, [hostile], None, 1.0, np.zeros((4, 4), bool), {hostile: np.zeros((2, 2))}, {hostile: "1"})
    text = report_page([run], [], {hostile: [sample]}, [OverlayVideo("videos/1.mp4", hostile)])
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=&#39;a()&#39;&gt;&#34; {{ 7 * 7 }}") >= 10
