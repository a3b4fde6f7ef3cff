"""The torchmetrics classes used alone agree with the suite."""

import doctest

import numpy as np
import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics import localization, mismatched_audio
from tavlo_pl.metrics.base import LocalizationMetric
from tavlo_pl.metrics.detection import Detection
from tavlo_pl.metrics.localization import CIoU
from tavlo_pl.metrics.mismatched_audio import PIA
from tavlo_pl.metrics.offscreen import TrueNegativeRate
from tavlo_pl.metrics.pointing import Pointing
from tavlo_pl.metrics.scenes import SceneCIoU
from tavlo_pl.metrics.segmentation import Segmentation
from tavlo_pl.metrics.stability import Stability
from tavlo_pl.metrics.suite import METRICS, LocalizationSuite
from tavlo_pl.metrics.switch_delay import SwitchDelay
from tavlo_pl.types import Scenario, Targets
from tests.helpers.processes import run_processes
from tests.helpers.suite import SQUARE, batches, filled, moments, protocol

CLIPS = list(range(8))


def update(metric: LocalizationMetric, preds: torch.Tensor, targets: Targets, chosen: torch.Tensor) -> None:
    """Updates with the chosen ones of N samples."""
    metric.update(
        preds[chosen],
        targets.mask[chosen],
        targets.index[chosen],
        targets.clip[chosen],
        targets.time_s[chosen],
        [name for name, wanted in zip(targets.category, chosen.tolist(), strict=True) if wanted],
    )


def alone(metric: LocalizationMetric) -> dict[str, object]:
    """What a metric computes of the clips by itself."""
    for maps, targets in batches(CLIPS, 3):
        preds = maps["model"][targets.row, targets.segment]
        update(metric, preds, targets, torch.ones_like(targets.on_screen))
    return metric.compute()


@pytest.mark.parametrize(
    ("metric", "group", "rule"),
    [
        (CIoU("adaptive", SQUARE), "on_screen", "adaptive"),
        (CIoU("universal:0.9", SQUARE), "on_screen", "universal:0.9"),
        (TrueNegativeRate(size=SQUARE), "off_screen", "universal:0.9"),
        (Pointing(size=SQUARE), "on_screen", "adaptive"),
        (Detection("adaptive", SQUARE), "all", "adaptive"),
        (Segmentation(size=SQUARE), "all", "adaptive"),
    ],
    ids=lambda part: part.name if isinstance(part, LocalizationMetric) else part,
)
def test_metric_alone_agrees_with_the_suite(metric: LocalizationMetric, group: str, rule: str) -> None:
    report = filled(CLIPS, rules=("adaptive", "universal:0.9"), metrics=METRICS).compute()
    values, found = report["scenarios"][group]["rows"]["model"][rule], alone(metric)
    if metric.universal:
        assert found.pop("threshold") == report["universal_threshold"]["model"]
    assert set(found) >= {figure.name for figure in metric.figures}
    for name, value in found.items():
        assert value == pytest.approx(values[name], abs=1e-12), name


def test_pia_alone_agrees_with_the_suite() -> None:
    report, pia = filled(CLIPS).compute(), PIA(size=SQUARE)
    for maps, targets in batches(CLIPS, 3):
        own, mismatched = (maps[row][targets.row, targets.segment] for row in ("model", "mismatched_audio"))
        seen = targets.on_screen
        pia.update(mismatched[seen], own[seen], targets.index[seen], targets.clip[seen])
    values = report["scenarios"]["on_screen"]["rows"]["mismatched_audio"]["universal:0.9"]
    assert pia.compute() == values | {"threshold": report["universal_threshold"]["model"]}


@pytest.mark.parametrize("metric", [Stability(size=SQUARE), SwitchDelay(size=SQUARE), SceneCIoU("top_half", SQUARE)])
def test_metric_of_moments_alone_agrees_with_the_suite(metric: LocalizationMetric) -> None:
    suite = LocalizationSuite(protocol("top_half"))
    shown, targets = moments(Scenario.MIXED_SOUND, ["dog", "cat", "cow"], [0, 3, 1])
    scene = shown, targets._replace(time_s=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    parts = [
        moments(Scenario.SINGLE_SOUND, ["dog", "cat", "cat"], [0, 3, 0]),
        moments(Scenario.OFF_SCREEN, ["dog"] * 3, [0, 0, 3]),
        *([scene] if isinstance(metric, SceneCIoU) else []),
    ]
    for maps, targets in parts:
        suite.update(maps, targets)
        update(metric, maps["model"][targets.row, targets.segment], targets, torch.ones_like(targets.on_screen))
    (group,) = {figure.group for figure in metric.described_figures()}
    values = suite.compute()["scenarios"][group]["rows"]["model"]
    by_rule = values["universal:0.9" if metric.universal else "top_half"]
    found = metric.compute()
    found.pop("threshold", None)
    assert found and found == {name: by_rule[name] for name in found}


def test_metric_alone_is_exact_over_processes() -> None:
    def work(rank: int, processes: int) -> dict[str, object]:
        metric = CIoU("top_half", SQUARE)
        for maps, targets in batches(CLIPS[rank::processes] + CLIPS[:1], 2):
            update(metric, maps["model"][targets.row, targets.segment], targets, torch.ones_like(targets.on_screen))
        return metric.compute()

    expected = alone(CIoU("top_half", SQUARE))
    assert run_processes(3, work) == [expected] * 3


def test_metric_alone_without_samples_has_no_value() -> None:
    assert CIoU(size=SQUARE).compute() == {}
    assert TrueNegativeRate(size=SQUARE).compute() == {}


def test_metric_alone_refuses_another_size() -> None:
    with pytest.raises(ConfigError, match="32x32 pixels"):
        alone(CIoU())


def test_metric_at_the_threshold_of_the_run_needs_a_source() -> None:
    metric = TrueNegativeRate(size=SQUARE)
    for maps, targets in batches([3], 1):
        preds = maps["model"][targets.row, targets.segment]
        update(metric, preds, targets, ~targets.on_screen)
    with pytest.raises(ConfigError, match="visible source"):
        metric.compute()


@pytest.mark.parametrize("metric", METRICS)
def test_metric_direction_is_that_of_its_first_figure(metric: type[LocalizationMetric]) -> None:
    assert metric.higher_is_better is metric.figures[0].higher_is_better
    assert metric().higher_is_better is metric.higher_is_better


def test_names_of_metrics_and_figures_are_unique() -> None:
    names = [figure.name for metric in METRICS for figure in metric.figures]
    assert len(set(names)) == len(names)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_examples_in_the_docstrings() -> None:
    for module in (localization, mismatched_audio):
        outcome = doctest.testmod(module)
        assert (outcome.attempted > 0, outcome.failed) == (True, 0)


def test_scene_counts_by_its_worst_source() -> None:
    metric = SceneCIoU("adaptive", SQUARE)
    for maps, targets in batches(CLIPS, 3):
        preds = maps["model"][targets.row, targets.segment]
        update(metric, preds, targets._replace(time_s=torch.zeros(len(preds)).double()), targets.on_screen)
    rows = [row for row in filled(CLIPS).samples() if row["scenario"] != "off_screen"]
    by_clip = [[r["model/adaptive"] for r in rows if r["clip"] == clip] for clip in {row["clip"] for row in rows}]
    worst = [min(values) for values in by_clip if len(values) > 1]
    found = metric.compute()
    assert (found["iiou"], found["scenes"]) == (np.mean(np.array(worst) >= 0.5), len(worst))
