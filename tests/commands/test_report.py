"""``tavlo report``: its files, its errors, and the page in a browser."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.report.compare import compare
from tavlo_pl.report.load import read_runs
from tests.helpers.browser import chromium
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")

PHONE = {"width": 390, "height": 844}
FIGURES = "[...document.querySelectorAll('.tile output')].map(output => output.textContent)"
PIXELS = "[...document.querySelectorAll('canvas[data-map]')].map(canvas => canvas.toDataURL())"
SLIDE = "([by, value]) => { choose = document.querySelector(`input[name=by][value=${by}]`); choose.click(); \
  const slider = document.querySelector('input[type=range]'); slider.value = value; \
  slider.dispatchEvent(new Event('input')); }"


@pytest.fixture(scope="module")
def tests(world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Test folders of the tiny model, trained for one step and untrained."""
    folder = tmp_path_factory.mktemp("runs")
    config = tiny_config(world, folder, max_steps=1)
    for words in (
        ("fit", "-c", config, "--out", folder / "one"),
        ("test", "--ckpt_path", folder / "one" / "checkpoints" / "last.ckpt"),
        ("test", "-c", config, "--allow_untrained", "--seed_everything", 4, "--out", folder / "two" / "test"),
    ):
        outcome = tavlo(*words)
        assert outcome.code == 0, outcome.err
    return [folder / "one" / "test", folder / "two" / "test"]


@pytest.fixture(scope="module")
def alone(tests: list[Path]) -> Outcome:
    """The report of one run."""
    return tavlo("report", tests[0])


@pytest.fixture(scope="module")
def pair(tests: list[Path]) -> tuple[Outcome, Path]:
    """The report of both runs, in a separate folder."""
    folder = tests[0].parents[1] / "pair"
    return tavlo("report", *tests, "--out", folder), folder


def page(tests: list[Path]) -> Path:
    return tests[0] / "report" / "report.html"


def test_report_of_one_run_writes_a_page_and_videos(tests: list[Path], alone: Outcome) -> None:
    assert (alone.code, alone.out.splitlines()[-1]) == (0, f"page: {page(tests)}")
    files = {str(path.relative_to(tests[0] / "report")) for path in (tests[0] / "report").rglob("*") if path.is_file()}
    assert files == {"report.html", "videos/1.mp4", "videos/2.mp4", "videos/3.mp4"}


@pytest.mark.usefixtures("alone")
def test_page_contains_the_results(tests: list[Path]) -> None:
    text = page(tests).read_text()
    results = json.loads((tests[0] / "results.json").read_text())
    command = f"tavlo test --ckpt_path {results['checkpoint']['path']}"
    for fact in (results["checkpoint"]["sha256"], results["data_fingerprint"]["sha256"], results["version"], command):
        assert fact in text
    mean = results["metrics"]["scenarios"]["on_screen"]["rows"]["model"]["universal:0.9"]["ciou_mean"]
    assert f"{100 * mean:.1f} ±" in text
    for words in (
        "Protocol avatar: rule universal:0.9, maps upsampled to 640×360",
        "640×360 (bilinear)",
        "whole_image",
        "ceiling",
        "samples (clips)",
        "No clip was left",
        "pia, silence",
        "pia, white_noise",
        "By size of the source",
        "<summary>By category (",
    ):
        assert words in text


@pytest.mark.usefixtures("alone")
def test_page_links_only_to_its_own_folder(tests: list[Path]) -> None:
    text = page(tests).read_text()
    addresses = set(re.findall(r'(?:src|href|xlink:href)="([^"]*)"', text)) | set(re.findall(r"url\(([^)]*)\)", text))
    linked = {address for address in addresses if not address.startswith(("data:", "#"))}
    assert linked == {"videos/1.mp4", "videos/2.mp4", "videos/3.mp4"}


def test_page_works_in_a_browser(tests: list[Path], alone: Outcome) -> None:
    assert alone.code == 0, alone.err
    messages: list[str] = []
    schemes: set[str] = set()
    with chromium() as tab:
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: schemes.add(request.url.split(":")[0]))
        tab.goto(page(tests).as_uri())
        _check_images(tab)
        _check_slider(tab, tests[0])
        light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.emulate_media(color_scheme="dark")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != light
        tab.set_viewport_size(PHONE)
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert messages == []
    assert schemes <= {"file", "data"}


def _check_images(tab: Any) -> None:
    sizes = tab.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(sizes) == len(tab.evaluate(PIXELS)) * 2 > 4  # frames with the ground truth and with the heatmap
    assert all(sizes)
    tab.wait_for_function("[...document.querySelectorAll('video')].every(video => video.readyState > 0)")
    assert tab.evaluate("[...document.querySelectorAll('video')].map(video => video.videoWidth)") == [64, 64, 64]


def _check_slider(tab: Any, folder: Path) -> None:
    """The scores that the browser computes equal those of the metrics, and follow the slider."""
    (run,) = read_runs([folder])
    names = tab.evaluate("[...document.querySelectorAll('.card strong')].map(name => name.textContent)")
    expected = dict(zip(run.samples.sample_id.tolist(), run.scores("on_screen"), strict=True))
    shown = dict(zip(names, tab.evaluate(FIGURES), strict=True))
    checked = {name: float(text.split()[1]) for name, text in shown.items() if not np.isnan(expected[name])}
    assert len(checked) > 3
    assert list(checked.values()) == pytest.approx([expected[name] for name in checked], abs=0.02)  # maps are float16
    before = tab.evaluate(PIXELS)
    tab.evaluate(SLIDE, ["share", 1])
    assert all(old != new for old, new in zip(before, tab.evaluate(PIXELS), strict=True))
    area = run.samples.values[f"whole_image/{run.rules[0]}"]  # threshold 1 claims all pixels, as this baseline does
    whole = dict(zip(run.samples.sample_id.tolist(), area, strict=True))
    everything = dict(zip(names, tab.evaluate(FIGURES), strict=True))
    assert [everything[name] for name in checked] == [f"now {whole[name]:.2f}" for name in checked]
    tab.evaluate(SLIDE, ["score", 2])  # the slider stops at the highest score
    assert all(float(text.split()[1]) < 0.1 or "now 1.00" in text for text in tab.evaluate(FIGURES))


def test_report_of_two_runs_compares_them(pair: tuple[Outcome, Path]) -> None:
    outcome, folder = pair
    assert outcome.code == 0, outcome.err
    (found,) = json.loads((folder / "comparison.json").read_text())["comparisons"]
    assert (found["first"], found["second"], found["same_data"]) == ("one", "two", True)
    single = found["scenarios"]["single_sound"]["universal:0.9"]["ciou_mean"]
    assert single["low"] <= single["difference"] <= single["high"]
    text = (folder / "report.html").read_text()
    for words in (f"{100 * single['difference']:+.1f}", single["verdict"], "A: one. B: two."):
        assert words in text and words in outcome.out
    assert "two against one" in text


def test_comparison_shows_the_heatmaps_of_each_run(pair: tuple[Outcome, Path]) -> None:
    text = (pair[1] / "report.html").read_text()
    data = json.loads(re.search(r'id="slider-data">(.*?)</script>', text)[1])  # type: ignore[index]
    assert len(data["maps"]) == 2 * len(data["truths"]) > 0
    assert all(data["maps"][n]["map"] != data["maps"][n + 1]["map"] for n in range(0, len(data["maps"]), 2))


def test_scored_heatmaps_are_reported_and_compared(world: Path, tests: list[Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tested,) = read_runs(tests[:1])
    for name in tested.samples.sample_id.tolist():
        path = tmp_path / "maps" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, heatmap=rng.random((4, 4)).astype(np.float32))
    sources = ("--dataset", "avatar", "--annotations", world / "test", "--predictions", tmp_path / "maps")
    outcome = tavlo("score", *sources, "--out", tmp_path / "scored" / "results.json")
    assert outcome.code == 0, outcome.err
    outcome = tavlo("report", tmp_path / "scored")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "scored" / "report" / "report.html").read_text()
    assert text.count("<canvas data-map") == text.count("<canvas data-truth") > 3
    assert "<video" not in text
    (scored,) = read_runs([tmp_path / "scored"])
    assert scored.maps is not None and tested.maps is not None
    assert scored.maps.fingerprint() == tested.maps.fingerprint(), "the same names and masks as in a test"
    assert all(Path(path).is_file() for path in scored.maps.path)
    found = compare(tested, *read_runs([tmp_path / "scored" / "results.json"]))
    assert len(found.rows) == len(tested.samples.sample_id)
    assert found.differences.keys() == tested.samples.groups().keys()
    assert found.same_data is None


@pytest.mark.parametrize(
    ("words", "message"),
    [("report", "runs"), ("report nowhere", "nowhere: no results.json"), ("report x --outt y", "outt")],
)
def test_report_mistake_is_one_line_and_exit_code_2(words: str, message: str) -> None:
    outcome = tavlo(*words.split())
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
