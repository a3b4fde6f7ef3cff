"""The figures of each metric in the suite."""

import numpy as np
import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.slavc import detection_figures
from tavlo_pl.metrics.suite import METRICS, LocalizationSuite
from tavlo_pl.types import Scenario
from tests.helpers.suite import SQUARE, batches, clip_maps, clip_targets, filled, moments, protocol


def test_universal_threshold_comes_from_on_screen_frames() -> None:
    suite = filled([0, 3])
    threshold = suite.compute()["universal_threshold"]["model"]
    quiet = LocalizationSuite(protocol())
    for maps, targets in batches([0, 3], 2):
        off_screen = ~targets.on_screen
        maps["model"][targets.row[off_screen], targets.segment[off_screen]] = -1.0
        quiet.update(maps, targets)
    report = quiet.compute()
    assert report["universal_threshold"]["model"] == threshold
    assert report["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]["tn_rate"] == 1.0


def test_universal_rule_is_a_fixed_one_at_the_quantile() -> None:
    clips = list(range(6))
    suite = filled(clips, rules=("universal:0.9", "top_half"))
    report = suite.compute()
    values = [row["model/universal:0.9"] for row in suite.samples() if row["scenario"] != "off_screen"]
    mean = report["scenarios"]["on_screen"]["rows"]["model"]["universal:0.9"]["ciou_mean"]
    assert np.mean(values) == pytest.approx(mean)
    for row in ("model", "centred_disk", "random", "whole_image"):
        threshold = report["universal_threshold"][row]
        figures = report["scenarios"]["on_screen"]["rows"][row]
        if row == "model":
            fixed = filled(clips, rules=(f"fixed:{threshold!r}",)).compute()
            assert fixed["scenarios"]["on_screen"]["rows"][row][f"fixed:{threshold!r}"] == figures["universal:0.9"]
        if row == "whole_image":
            assert figures["universal:0.9"] == figures["top_half"]
    targets = clip_targets(0, 0)
    with pytest.raises(ConfigError, match="needs masks of 0 and 1"):
        LocalizationSuite(protocol("universal:0.9")).update(clip_maps([0]), targets._replace(mask=targets.mask / 2))


def test_pointing_is_a_mean_over_clips() -> None:
    suite = filled(list(range(8)))
    share: dict[str, list[float]] = {}
    for row in suite.samples():
        if row["scenario"] != "off_screen":
            share.setdefault(row["clip"], []).append(row["model/pointing"])
    expected = np.mean([np.mean(values) for values in share.values()])
    figures = suite.compute()["scenarios"]["on_screen"]["rows"]
    assert figures["model"]["top_half"]["pointing"] == pytest.approx(expected, abs=1e-12)
    assert figures["whole_image"]["top_half"]["pointing"] == pytest.approx(
        np.mean(
            [np.mean([row["area"] for row in suite.samples() if row["clip"] == clip and row["area"]]) for clip in share]
        )
    )


def test_pia_is_at_the_threshold_of_the_model() -> None:
    suite = filled(list(range(8)))
    report = suite.compute()
    rows, threshold = report["scenarios"]["on_screen"]["rows"], report["universal_threshold"]["model"]
    found = {row: by_rule["universal:0.9"] for row, by_rule in rows.items() if "universal:0.9" in by_rule}
    assert list(found) == ["mismatched_audio", "silence"]
    shares = []
    for maps, targets in batches(list(range(8)), 8):
        on_screen = targets.on_screen
        mismatched = maps["mismatched_audio"][targets.row, targets.segment][on_screen]
        shares = (1 - true_negative_share(mismatched, threshold, SQUARE)).tolist()
    other_batches = filled(list(range(8)), 3).compute()["scenarios"]["on_screen"]["rows"]
    assert {row: other_batches[row]["universal:0.9"] for row in found} == found
    figures = found["mismatched_audio"]
    assert 0 < found["silence"]["pia"] < 0.1, "which is that of the model itself"
    assert figures["pia"] == pytest.approx(np.mean(shares), abs=1e-12)
    assert figures["pia_interval"][0] < figures["pia"] < figures["pia_interval"][1]


def test_switch_delay_ends_when_the_peak_is_on_the_source() -> None:
    suite = LocalizationSuite(protocol("top_half"))
    suite.update(*moments(Scenario.SINGLE_SOUND, ["dog", "dog", "cat", "cat", "cat"], [0, 0, 2, 3, 1]))
    cross_event = suite.compute()["scenarios"]["cross_event"]
    model, whole = (cross_event["rows"][row]["top_half"] for row in ("model", "whole_image"))
    assert (model["switches"], model["followed"], model["median_s"]) == (1, 1.0, 2.0)
    assert (whole["switches"], whole["followed"]) == (1, 0.0) and "median_s" not in whole
    assert model["pointing"] == 3 / 5


def test_stability_of_maps_between_silent_moments() -> None:
    suite = LocalizationSuite(protocol("top_half"))
    suite.update(*moments(Scenario.SINGLE_SOUND, ["dog"], [0]))
    suite.update(*moments(Scenario.OFF_SCREEN, ["dog"] * 3, [0, 0, 3]))
    rows = suite.compute()["scenarios"]["off_screen"]["rows"]
    figures = {row: rows[row]["universal:0.9"] for row in rows}
    dark = figures["model"]["tn_rate"]
    assert figures["model"]["stability"] == pytest.approx((1 + 1 - 2 * (1 - dark)) / 2, abs=0.01)
    assert figures["centred_disk"]["stability"] == figures["whole_image"]["stability"] == 1


def test_scenes_are_the_samples_of_one_frame() -> None:
    suite = LocalizationSuite(protocol("top_half"))
    maps, targets = moments(Scenario.MIXED_SOUND, ["dog", "cat", "cow"], [0, 3, 1])
    suite.update(maps, targets._replace(time_s=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)))
    report, rows = suite.compute(), suite.samples()
    worst = min(row["model/top_half"] for row in rows[:2])
    values = report["scenarios"]["on_screen"]["rows"]["model"]["top_half"]
    assert values["scenes"] == 1
    assert values["iiou"] == float(worst >= 0.5)
    assert values["iauc"] == pytest.approx(worst, abs=0.025)


def test_detection_needs_samples_without_a_source() -> None:
    suite = filled(list(range(8)), rules=("fixed:-0.2",))
    report, rows = suite.compute()["scenarios"]["all"]["rows"], suite.samples()
    assert list(report) == ["model", "mismatched_audio"]
    columns = [[row[f"model/{name}"] or 0.0 for row in rows] for name in ("fixed:-0.2", "confidence")]
    visible, clip = [row["scenario"] != "off_screen" for row in rows], [int(row["clip"][-5:]) for row in rows]
    expected = detection_figures(*map(np.array, (*columns, visible, clip)))
    assert report["model"]["fixed:-0.2"] == expected
    assert expected["loc_acc"] == suite.compute()["scenarios"]["on_screen"]["rows"]["model"]["fixed:-0.2"]["ciou_at_50"]
    assert "all" not in filled([0, 1, 2]).compute()["scenarios"]


def test_segmentation_only_where_asked_for() -> None:
    assert "miou" not in filled(list(range(8))).compute()["scenarios"]["all"]["rows"]["model"]["top_half"]
    rows = filled(list(range(8)), metrics=METRICS).compute()["scenarios"]["all"]["rows"]
    figures = {row: by_rule["top_half"] for row, by_rule in rows.items()}
    assert list(figures) == ["model", "mismatched_audio"]
    assert all(0 < figures[row][name] < 1 for row in figures for name in ("miou", "f_score"))


def test_off_screen_metrics_need_the_maps() -> None:
    report = filled(list(range(8)), keep_maps=False).compute()
    assert report["universal_threshold"] == {}
    assert report["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"] == {}
    assert report["breakdown"] == filled(list(range(8))).compute()["breakdown"]


def test_off_screen_clips_alone_have_a_rate_if_all_are_pooled() -> None:
    rates = []
    for pooled in ("all", "on_screen"):
        suite = LocalizationSuite(protocol(pooled=pooled))
        maps, targets = moments(Scenario.OFF_SCREEN, ["dog"] * 3, [0, 1, 2])
        suite.update(maps, targets)
        report = suite.compute()["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]
        rates.append(report.get("tn_rate"))
    assert rates[0] == pytest.approx(0.9, abs=0.05) and rates[1] is None
