"""Every rule and protocol with every data set, through ``tavlo score``, the results of a test, and ``tavlo report``."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule

from tavlo_pl.callbacks.results import ResultsWriter
from tavlo_pl.commands.score import _source
from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.predictions import ScoreLoader
from tavlo_pl.data.scored_samples import samples_of
from tavlo_pl.metrics.figure import read_figures
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME, PROTOCOLS, Protocol
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.report.compare import compare, comparison_table
from tavlo_pl.report.load import read_runs
from tavlo_pl.report.page import report_page
from tavlo_pl.viz.table import results_tables
from tests.helpers.cli import tavlo
from tests.helpers.score import FRAME_RATE, SIZE, save, write_tree, write_vggss

RULES = ("top_half", "top_tenth", "adaptive", "fixed:0.1", "universal:0.9", "universal:0.5")


def write_avatar(folder: Path) -> Path:
    write_tree(folder)
    return folder


def write_boxes(folder: Path) -> Path:
    save_maps(folder, ["a", "b", "c"])
    return write_vggss(folder, {"a": [[0.0, 0.0, 0.5, 0.5]], "b": [[0.2, 0.2, 1.0, 1.0]], "c": []})


def write_flickr(folder: Path) -> Path:
    save_maps(folder, ["7", "8"])
    (folder / "xml").mkdir()
    for name, right in (("7", 128), ("8", 256)):
        box = f"<bbox><name>a</name><xmin>0</xmin><ymin>0</ymin><xmax>{right}</xmax><ymax>256</ymax></bbox>"
        (folder / "xml" / f"{name}.xml").write_text(f"<r><o>{box}</o></r>")
    return folder / "xml"


def write_is3(folder: Path) -> Path:
    names = ["cat_dog_1_cat", "cat_dog_1_dog"]
    save_maps(folder, names)
    return write_list(folder, names, [[0, 0, 112, 224], [112, 0, 224, 224]])


def write_avsbench(folder: Path) -> Path:
    names = ["v_1", "v_2"]
    save_maps(folder, names)
    return write_list(folder, names, [[0, 0, 112, 224], [0, 0, 0, 0]])


def write_list(folder: Path, names: list[str], boxes: list[list[int]]) -> Path:
    entries = [{"image": f"{name}.png", "gt_box": box} for name, box in zip(names, boxes, strict=True)]
    (folder / "list.json").write_text(json.dumps(entries))
    return folder / "list.json"


def save_maps(folder: Path, names: list[str]) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        save(folder, name, heatmap=rng.uniform(-1, 1, (1, 4, 5)).astype(np.float32))


DATASETS: dict[str, Callable[[Path], Path]] = {
    "avatar": write_avatar,
    "vggss": write_boxes,
    "flickr": write_flickr,
    "is3": write_is3,
    "avsbench": write_avsbench,
}


class Scored(LightningModule):
    """A tested model with nothing but its suite."""

    def __init__(self, chosen: Protocol) -> None:
        super().__init__()
        self.test_suite = LocalizationSuite(chosen)


def write_test(folder: Path, dataset: str, chosen: Protocol, annotations: Path) -> Path:
    """What ``tavlo test`` leaves of a model that gives the saved maps."""
    model, writer = Scored(chosen), ResultsWriter(folder / "test")
    trainer: Any = SimpleNamespace(is_global_zero=True)
    writer.on_test_start(trainer, model)
    samples = samples_of(_source(dataset, str(annotations)).clips(), chosen)
    heatmaps = {"model": HeatmapFolder(folder / "maps", FRAME_RATE, chosen.time)}
    for maps, targets in ScoreLoader(samples, heatmaps, chosen.size):
        synthetic = {name: torch.zeros_like(maps["model"]) for name in ("silence", "white_noise")}
        model.test_suite.update({**maps, "mismatched_audio": -maps["model"]}, targets, synthetic)
        batch: Any = {
            "targets": targets,
            "index": targets.index,
            "frame_time": targets.time_s[:, None],
            "sample_id": targets.sample_id,
            "path": targets.sample_id,
        }
        writer.on_test_batch_end(trainer, model, {"heatmap": maps["model"]}, batch, 0)
    writer.on_test_end(trainer, model)
    return folder / "test"


def check_values(metrics: dict[str, Any]) -> None:
    """Every value is within its bounds, that of the model not above the ceiling; the whole image claims every pixel."""
    units = {figure.name: figure.unit for figure in read_figures(metrics)}
    groups = metrics["scenarios"]
    assert "on_screen" in groups
    for group in groups.values():
        for row, by_rule in group["rows"].items():
            for rule, values in by_rule.items():
                for name, value in values.items():
                    if units.get(name) == "percent":
                        assert 0 <= value <= 1, name
                        low, high = values.get(f"{name}_interval", (0, 1))
                        assert low <= high, name
                    if row == "model" and name in group.get("ceiling", {}).get(rule, {}):
                        assert value <= group["ceiling"][rule][name] + 1e-12, name
    values = groups["on_screen"]["rows"]["model"][metrics["rules"][0]]
    assert {"ciou_mean", "ciou_at_50", "ciou_auc", "pointing"} <= values.keys()
    whole = groups["on_screen"]["rows"]["whole_image"][metrics["rules"][0]]
    assert whole["pointing"] > 0, "the share of the image that the source takes"
    if "off_screen" in groups:
        assert 0 < groups["off_screen"]["rows"]["model"]["universal:0.9"]["tn_rate"] <= 1
        assert groups["off_screen"]["rows"]["whole_image"]["universal:0.9"]["tn_rate"] == 0
        assert {"ap", "max_f1", "loc_acc"} <= groups["all"]["rows"]["model"][metrics["rules"][0]].keys()


def check_everywhere(folder: Path, dataset: str, chosen: Protocol, *options: object, with_page: bool = False) -> None:
    """Scores, tests and compares the same maps; and draws the page, which takes longer than all the rest."""
    annotations, out = DATASETS[dataset](folder), folder / "score" / "results.json"
    words = ["--dataset", dataset, "--annotations", annotations, "--predictions", folder / "maps", "--out", out]
    outcome = tavlo("score", *words, *options, "--frame_rate", FRAME_RATE)
    if dataset == "flickr" and chosen.rules[0].startswith("universal"):
        assert outcome.code == 2
        assert "needs masks of 0 and 1" in outcome.err
        return
    assert outcome.code == 0, outcome.err
    assert json.loads(out.read_text())["protocol"] == chosen.label
    assert f"Protocol {chosen.label}: rule {chosen.rules[0]}" in outcome.out
    runs = read_runs([out.parent, write_test(folder, dataset, chosen, annotations)])
    scored, tested = runs
    for run in runs:
        check_values(run.metrics)
        for table in results_tables(run.metrics):
            assert table.to_text() and "nan" not in table.to_text()
    for group in ("on_screen", "off_screen"):
        rows = [run.metrics["scenarios"].get(group, {"rows": {"model": {}}})["rows"]["model"] for run in runs]
        assert rows[0] == rows[1], group
    comparison = compare(scored, tested)
    found = [each for rules in comparison.differences.values() for by in rules.values() for each in by.values()]
    assert {each.difference for each in found} == {0.0}
    assert comparison_table(comparison).rows
    if with_page:
        page = report_page([tested], [], {}, [])
        assert "ciou_mean" in page and f"Protocol {chosen.label}" in page


def each_pair(names: Iterable[str]) -> pytest.MarkDecorator:
    """Every data set with every name; two of three pairs are marked `slow`, so that each of both is in a fast one."""
    pairs = [
        pytest.param(dataset, name, marks=[pytest.mark.slow] if (place + number) % 3 else [], id=f"{dataset}-{name}")
        for place, name in enumerate(names)
        for number, dataset in enumerate(DATASETS)
    ]
    return pytest.mark.parametrize(("dataset", "name"), pairs)


@each_pair(RULES)
def test_every_rule_works_with_every_data_set(tmp_path: Path, dataset: str, name: str) -> None:
    chosen = AVATAR_PER_FRAME.change(rules=(name,), size=(SIZE, SIZE))
    check_everywhere(tmp_path, dataset, chosen, "--protocol", chosen.name, "--rule", name, "--size", SIZE)


@each_pair(PROTOCOLS)
def test_every_protocol_works_with_every_data_set(tmp_path: Path, dataset: str, name: str) -> None:
    chosen = PROTOCOLS[name].change(size=(20, 32))
    assert chosen.label == f"{name}, modified (size)"
    check_everywhere(tmp_path, dataset, chosen, "--protocol", name, "--size", "20x32")


@pytest.mark.parametrize(
    ("dataset", "name"),
    {"avatar": "avatar", "vggss": "vggss_ezvsl", "flickr": "flickr", "is3": "is3", "avsbench": "avsbench"}.items(),
)
def test_every_data_set_has_a_default_protocol(tmp_path: Path, dataset: str, name: str) -> None:
    check_everywhere(tmp_path, dataset, PROTOCOLS[name], with_page=dataset in ("avatar", "vggss"))
