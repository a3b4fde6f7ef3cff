"""The suite as a whole: shape of the results, samples, exactness over processes, and errors."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.metrics.functional import pooled
from tavlo_pl.metrics.functional.baselines import random_maps
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.protocols import AVATAR
from tavlo_pl.metrics.suite import METRICS, LocalizationSuite
from tavlo_pl.types import BadClip, Scenario, Targets
from tests.helpers.processes import run_processes
from tests.helpers.suite import SIZE, SQUARE, batches, clip_maps, clip_targets, filled, protocol, update

RULES = ("top_half", "adaptive", "fixed:0.1", "universal:0.9")


def shard(rank: int, processes: int, clips: list[int]) -> list[int]:
    """What a padding sampler gives a rank: every n-th clip, the list repeated up to a full last round."""
    padded = clips + clips[: -len(clips) % processes]
    return padded[rank::processes]


@pytest.mark.parametrize(("processes", "batch_size"), [(2, 2), (3, 1)])
def test_suite_is_exact_over_processes(processes: int, batch_size: int) -> None:
    clips = list(range(7))

    def work(rank: int, processes: int) -> tuple[str, str]:
        suite = filled(shard(rank, processes, clips), batch_size, rules=RULES, metrics=METRICS)
        bad = [BadClip(99, "gone", "gone.mp4: empty", 2), BadClip(98 + rank, f"bad_{rank}", "truncated", 3)]
        suite.update_left_out(bad[: 1 + rank])
        result = json.dumps(suite.compute())
        if rank == 0:
            assert suite.samples()  # no other process takes part: compute has gathered
        return result, json.dumps(suite.samples())

    alone = filled(clips, 3, rules=RULES, metrics=METRICS)
    alone.update_left_out([BadClip(99, "gone", "gone.mp4: empty", 2)])
    if processes == 3:
        alone.update_left_out([BadClip(100, "bad_2", "truncated", 3)])
    expected = json.dumps(alone.compute()), json.dumps(alone.samples())
    results = run_processes(processes, work)
    assert [result[1] for result in results] == [expected[1]] * processes
    assert [result[0] for result in results] == [expected[0]] * processes


@pytest.mark.parametrize("processes", [2, 3])
def test_suite_by_avatars_protocol_is_exact_over_processes(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "FEW_PIXELS", 0)  # count in intervals, as for a whole test set
    clips = list(range(7))

    def results(clips: list[int]) -> str:
        suite = LocalizationSuite(AVATAR.change(size=SQUARE))
        for maps, targets in batches(clips, 2):
            both = targets.scenarios.clone()
            both[targets.index % 3 == 0, Scenario.OFF_SCREEN.id] = True  # frames with sources of both kinds
            update(suite, maps, targets._replace(scenarios=both, blend=torch.full_like(targets.blend, 0.25)))
        return json.dumps([suite.compute(), suite.samples(), suite.universal_thresholds([Fraction(8, 10)])])

    expected = results(clips)
    found = run_processes(processes, lambda rank, count: results(shard(rank, count, clips)))
    assert found == [expected] * processes


def test_suite_process_without_samples_takes_part() -> None:
    def work(rank: int, processes: int) -> str:
        return json.dumps(filled([0, 1, 2, 3] if rank == 1 else []).compute())

    assert run_processes(2, work) == [json.dumps(filled([0, 1, 2, 3]).compute())] * 2


def test_suite_results_have_the_stated_shape() -> None:
    report = filled(list(range(8))).compute()
    assert json.loads(json.dumps(report)) == report
    assert report["rules"] == ["top_tenth", "top_half", "adaptive"]
    assert report["size"] == [SIZE, SIZE]
    assert report["interpolation"] == "bilinear"
    samples = {name: (scenario["samples"], scenario["clips"]) for name, scenario in report["scenarios"].items()}
    assert samples == {
        "single_sound": (10, 8),
        "mixed_sound": (2, 2),
        "multi_entity": (2, 2),
        "off_screen": (2, 2),
        "cross_event": (5, 3),
        "on_screen": (14, 8),
        "all": (16, 8),
    }
    rows = ["model", "mismatched_audio", "whole_image", "centred_disk", "random"]
    assert list(report["universal_threshold"]) == rows
    single = report["scenarios"]["single_sound"]
    assert list(single["rows"]) == rows
    assert list(single["rows"]["model"]) == report["rules"] == list(single["ceiling"])
    figures = single["rows"]["model"]["top_half"]
    names = {"ciou_at_50", "ciou_mean", "ciou_auc", "pointing"}
    assert set(figures) == names | {f"{name}_interval" for name in names}
    low, high = figures["ciou_mean_interval"]
    assert low < figures["ciou_mean"] < high
    assert figures["ciou_mean"] <= single["ceiling"]["top_half"]["ciou_mean"]
    off_screen = report["scenarios"]["off_screen"]["rows"]
    assert list(off_screen) == rows
    assert set(off_screen["model"]["universal:0.9"]) == {"tn_rate", "tn_rate_interval"}  # one moment a clip
    assert off_screen["whole_image"]["universal:0.9"]["tn_rate"] == 0
    assert off_screen["centred_disk"]["universal:0.9"]["tn_rate"] == pytest.approx(0.9, abs=0.01)


def test_suite_samples_list_every_value() -> None:
    suite = filled(list(range(5)), rules=("top_half", "fixed:0.1"))
    rows = suite.samples()
    assert [row["sample_id"] for row in rows[:3]] == [
        "clip_00000/00009/single_sound",
        "clip_00000/00040/single_sound",
        "clip_00001/00009/mixed_sound",
    ]
    info = ["sample_id", "clip", "scenario", "category", "cue", "cross_event", "time_s", "sources", "area"]
    columns = ["top_half", "fixed:0.1", "tn_rate", "pointing", "confidence"]
    assert list(rows[0])[:14] == [*info, *(f"model/{column}" for column in columns)]
    assert rows[2]["clip"] == "clip_00001"
    assert rows[3]["category"] == "dög+cat"
    assert [row["cross_event"] for row in rows[::2]] == [True, False, False, True, False]
    assert rows[1]["area"] == 10 * 5 / SIZE**2 == rows[1]["whole_image/top_half"]
    targets = clip_targets(1, 0)
    chosen = clip_maps([1])["mismatched_audio"][0, targets.segment]
    values = ciou_of_maps(chosen, targets.mask, [parse_rule("fixed:0.1")])
    assert [rows[2]["mismatched_audio/fixed:0.1"], rows[3]["mismatched_audio/fixed:0.1"]] == values[:, 0].tolist()
    off_screen = next(row for row in rows if row["scenario"] == "off_screen")
    assert off_screen["model/top_half"] is None
    assert rows[0]["model/tn_rate"] is None
    report = suite.compute()
    threshold = report["universal_threshold"]["random"]
    share = true_negative_share(random_maps(clip_targets(3, 0).index[:1]), threshold, SQUARE).item()
    assert off_screen["random/tn_rate"] == share
    assert report["scenarios"]["off_screen"]["rows"]["random"]["universal:0.9"]["tn_rate"] == share


def test_suite_intervals_are_by_video() -> None:
    suite = filled(list(range(8)))
    scenarios, rows = suite.compute()["scenarios"], suite.samples()
    for scenario, rule, column, name in (
        ("on_screen", "adaptive", "adaptive", "ciou_mean_interval"),
        ("off_screen", "universal:0.9", "tn_rate", "tn_rate_interval"),
    ):
        chosen = [row for row in rows if (row["scenario"] == "off_screen") == (scenario == "off_screen")]
        clip = np.array([int(row["clip"].removeprefix("clip_")) for row in chosen])
        values = np.array([[row[f"model/{column}"]] for row in chosen])
        interval = bootstrap_interval(values, clip)[:, 0].tolist()
        assert scenarios[scenario]["rows"]["model"][rule][name] == pytest.approx(interval, abs=1e-12)


def test_suite_samples_follow_an_update() -> None:
    suite = filled([0])
    suite.compute()
    assert len(suite.samples()) == 2
    update(suite, *next(batches([1], 1)))
    assert len(suite.samples()) == 4


def test_suite_counts_a_repeated_sample_once() -> None:
    clips = list(range(5))
    assert filled([*clips, 0, 1, 2]).compute() == filled(clips).compute()


def test_suite_without_baselines_and_off_screen_samples() -> None:
    report = filled([0, 1], rules=("top_tenth",), baselines=False).compute()
    assert list(report["scenarios"]["on_screen"]["rows"]) == ["model", "mismatched_audio", "silence"]
    assert "off_screen" not in report["scenarios"]
    assert list(report["universal_threshold"]) == ["model"], "for pIA"


def test_suite_off_screen_samples_alone_have_no_threshold() -> None:
    suite = LocalizationSuite(protocol())
    targets = clip_targets(3, 0)
    first = Targets(**{name: getattr(targets, name)[:1] for name in Targets._fields})
    suite.update(clip_maps([3]), first)
    off_screen = suite.compute()["scenarios"]["off_screen"]
    assert off_screen["rows"]["model"] == {"universal:0.9": {}}
    assert "model/universal:0.9" not in suite.samples()[0]


def test_suite_counts_left_out_clips_once_until_reset() -> None:
    suite = filled([0])
    suite.compute()
    clip = BadClip(4, "x_00001", "x_00001.mp4: no\nvideo", 3)
    suite.update_left_out([])
    suite.update_left_out([clip])
    suite.update_left_out([clip, BadClip(5, "x_00001", "x_00001.mp4: no\nvideo", 1)])
    assert suite.compute()["left_out"] == {
        "clips": 1,
        "samples": 4,
        "reasons": {"x_00001": "x_00001.mp4: no\nvideo"},
    }
    suite.reset()
    update(suite, *next(batches([1], 1)))
    report = suite.compute()
    assert report["left_out"] == {"clips": 0, "samples": 0, "reasons": {}}
    assert report["scenarios"]["on_screen"]["samples"] == 2


def test_suite_without_samples_reports_nothing() -> None:
    suite = LocalizationSuite(protocol())
    empty = Targets(**{name: getattr(clip_targets(0, 0), name)[:0] for name in Targets._fields})
    suite.update(clip_maps([0]), empty)
    assert suite.compute()["scenarios"] == {}
    assert suite.samples() == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_suite_names_the_sample_of_a_score_that_is_nan(value: float) -> None:
    maps, targets = next(batches([0, 1], 2))
    maps["mismatched_audio"][1, 1, 2, 3] = value
    with pytest.raises(RunFailedError, match="'mismatched_audio' heatmap of clip_00001/00009/mixed_sound holds NaN"):
        LocalizationSuite(protocol()).update(maps, targets)


def test_suite_refuses_wrong_sizes_and_rules() -> None:
    with pytest.raises(ConfigError, match=r"masks are 32x32 pixels .* 224x224"):
        LocalizationSuite().update(*next(batches([0], 1)))
    with pytest.raises(ConfigError, match=r"'fixed:0.5' must be one threshold"):
        LocalizationSuite(protocol(off_screen_rule="fixed:0.5"))


def test_suite_does_not_depend_on_the_number_of_threads() -> None:
    clips = list(range(8))
    expected = filled(clips).compute()
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert filled(clips, 8).compute() == expected
    finally:
        torch.set_num_threads(threads)


def test_suite_takes_weights_as_weights() -> None:
    targets = clip_targets(0, 0)
    suite = LocalizationSuite(protocol("top_half"))
    suite.update(clip_maps([0]), targets._replace(mask=targets.mask / 2))
    rows = suite.samples()
    area = targets.mask[0].sum().item()
    assert rows[0]["area"] == area / SIZE**2
    assert rows[0]["whole_image/top_half"] == pytest.approx(area / 2 / (SIZE**2 - area / 2))
    chosen = clip_maps([0])["model"][0, targets.segment]
    values = ciou_of_maps(chosen, targets.mask / 2, [parse_rule("top_half")])
    assert [row["model/top_half"] for row in rows] == values[:, 0].tolist()


def test_suite_breakdown_counts_every_on_screen_sample() -> None:
    suite = filled(list(range(15)), rules=("adaptive",))
    report = suite.compute()
    breakdown, rows = report["breakdown"], [row for row in suite.samples() if row["scenario"] != "off_screen"]
    whole = report["scenarios"]["on_screen"]
    assert sum(group["samples"] for group in breakdown["size"].values()) == whole["samples"]
    assert {name: group["samples"] for name, group in breakdown["sources"].items()} == {"1": 23, "2": 4}
    assert breakdown["category"]["cat"] == breakdown["category"]["dög"]
    assert breakdown["category"]["class 4"]["samples"] == 1
    assert breakdown["cue"]["memory"] == breakdown["cue"]["synchrony"]  # samples with both cues belong to both
    assert 0 < breakdown["cue"]["memory"]["samples"] < whole["samples"]
    medium = [row["model/adaptive"] for row in rows if (32 / 224) ** 2 < row["area"] <= (96 / 224) ** 2]
    assert breakdown["size"]["medium"]["samples"] == len(medium) < len(rows)
    figures = breakdown["size"]["medium"]["rows"]["model"]["adaptive"]
    assert figures["ciou_mean"] == pytest.approx(np.mean(medium), abs=1e-12)
