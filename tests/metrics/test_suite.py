import doctest
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.metrics import localization, mismatched_audio
from tavlo_pl.metrics.detection import Detection, SceneCIoU
from tavlo_pl.metrics.functional.baselines import random_maps
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.slavc import detection_figures
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.localization import CIoU, TrueNegativeRate
from tavlo_pl.metrics.mismatched_audio import PIA
from tavlo_pl.metrics.segmentation import Segmentation
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.metrics.video import Pointing, Stability
from tavlo_pl.types import SCENARIOS, BadClip, Scenario, Targets
from tests.helpers.processes import run_processes

SIZE = 32
SEGMENTS = 3
RULES = ("top_half", "adaptive", "fixed:0.1", "universal:0.9")


def clip_targets(clip: int, row: int) -> Targets:
    """Two samples of a clip at a row of a batch: one of a scenario that varies, one of single_sound."""
    scenario = SCENARIOS[clip % 4]
    mask = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    if scenario != Scenario.OFF_SCREEN:
        mask[0, 4 : 10 + clip, 6:20] = True
    mask[1, 10:20, 3 : 8 + clip] = True
    return Targets(
        mask=mask,
        row=torch.tensor([row, row]),
        segment=torch.tensor([clip % SEGMENTS, (clip + 1) % SEGMENTS]),
        index=torch.tensor([5 * clip, 5 * clip + 1]),
        clip=torch.tensor([clip, clip]),
        scenario=torch.tensor([scenario.id, Scenario.SINGLE_SOUND.id]),
        cross_event=torch.tensor([clip % 3 == 0] * 2),
        time_s=torch.tensor([0.36, 1.6], dtype=torch.float64),
        sources=torch.tensor([1 + clip % 2, 1]),
        sample_id=[f"clip_{clip:05d}/{frame:05d}/{name}" for frame, name in ((9, scenario), (40, "single_sound"))],
        category=[f"class {clip}", "dög+cat"],
    )


def joined(parts: list[Targets]) -> Targets:
    columns: list[Any] = [
        torch.cat(column) if isinstance(column[0], Tensor) else [text for texts in column for text in texts]
        for column in zip(*parts, strict=True)
    ]
    return Targets(*columns)


def clip_maps(clips: list[int]) -> dict[str, Tensor]:
    """Maps that depend on the clip alone."""
    maps = random_maps(torch.tensor(clips) + 1000, cells=14) * 2 - 1
    maps = maps.reshape(len(clips), 4, 7, 7)[:, :SEGMENTS]
    return {"model": maps, "mismatched_audio": -maps}


def batches(clips: list[int], size: int) -> Iterator[tuple[dict[str, Tensor], Targets]]:
    for start in range(0, len(clips), size):
        part = clips[start : start + size]
        yield clip_maps(part), joined([clip_targets(clip, row) for row, clip in enumerate(part)])


def filled(clips: list[int], size: int = 2, **options: object) -> LocalizationSuite:
    suite = LocalizationSuite(size=SIZE, **options)  # type: ignore[arg-type]
    for maps, targets in batches(clips, size):
        update(suite, maps, targets)
    return suite


def update(suite: LocalizationSuite, maps: dict[str, Tensor], targets: Targets) -> None:
    suite.update(maps, targets, {"silence": 0.9 * maps["model"]})


def shard(rank: int, processes: int, clips: list[int]) -> list[int]:
    """What a padding sampler gives a rank: every n-th clip, the list repeated up to a full last round."""
    padded = clips + clips[: -len(clips) % processes]
    return padded[rank::processes]


@pytest.mark.parametrize(("processes", "batch_size"), [(2, 2), (3, 1)])
def test_figures_are_the_same_to_the_last_digit_with_any_number_of_processes(processes: int, batch_size: int) -> None:
    clips = list(range(7))

    def work(rank: int, processes: int) -> tuple[str, str]:
        suite = filled(shard(rank, processes, clips), batch_size, rules=RULES, segmentation=True)
        bad = [BadClip(99, "gone", "gone.mp4: empty", 2), BadClip(98 + rank, f"bad_{rank}", "truncated", 3)]
        suite.update_left_out(bad[: 1 + rank])
        result = json.dumps(suite.compute())
        if rank == 0:
            assert suite.samples()  # no other process takes part: compute has gathered
        return result, json.dumps(suite.samples())

    alone = filled(clips, 3, rules=RULES, segmentation=True)
    alone.update_left_out([BadClip(99, "gone", "gone.mp4: empty", 2)])
    if processes == 3:
        alone.update_left_out([BadClip(100, "bad_2", "truncated", 3)])
    expected = json.dumps(alone.compute()), json.dumps(alone.samples())
    results = run_processes(processes, work)
    assert [result[1] for result in results] == [expected[1]] * processes
    assert [result[0] for result in results] == [expected[0]] * processes


def test_a_process_that_saw_nothing_takes_part() -> None:
    def work(rank: int, processes: int) -> str:
        return json.dumps(filled([0, 1, 2, 3] if rank == 1 else []).compute())

    assert run_processes(2, work) == [json.dumps(filled([0, 1, 2, 3]).compute())] * 2


def test_the_report_has_the_stated_shape() -> None:
    report = filled(list(range(8))).compute()
    assert json.loads(json.dumps(report)) == report
    assert report["rules"] == ["top_tenth", "top_half", "adaptive"]
    assert report["size"] == SIZE
    assert report["interpolation"] == "bilinear"
    samples = {name: (scenario["samples"], scenario["clips"]) for name, scenario in report["scenarios"].items()}
    assert samples == {
        "single_sound": (10, 8),
        "mixed_sound": (2, 2),
        "multi_entity": (2, 2),
        "off_screen": (2, 2),
        "cross_event": (5, 3),
        "on_screen": (14, 8),
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


def test_the_suite_agrees_with_the_classes_and_formulas() -> None:
    clips = list(range(8))
    report = filled(clips).compute()
    ciou, tn_rate, pia = CIoU("adaptive"), TrueNegativeRate(size=SIZE), PIA(size=SIZE)
    detection, segmentation, scenes = Detection("adaptive"), Segmentation(), SceneCIoU("adaptive")
    pointing, stability = Pointing(), Stability(size=SIZE)
    for maps, targets in batches(clips, 3):
        chosen, swapped = (maps[row][targets.row, targets.segment] for row in ("model", "mismatched_audio"))
        on_screen = targets.scenario != Scenario.OFF_SCREEN.id
        seen = chosen[on_screen], targets.mask[on_screen], targets.index[on_screen]
        ciou.update(*seen)
        tn_rate.update(chosen, on_screen, targets.index)
        pia.update(chosen[on_screen], swapped[on_screen], targets.index[on_screen])
        detection.update(chosen, targets.mask, targets.index, targets.clip)
        segmentation.update(chosen, targets.mask, targets.index, targets.clip)
        scenes.update(*seen, targets.clip[on_screen])
        names = [name for name, shown in zip(targets.category, on_screen, strict=True) if shown]
        pointing.update(*seen, targets.clip[on_screen], targets.time_s[on_screen], names)
        stability.update(chosen, on_screen, targets.index, targets.clip, targets.time_s)
    figures = report["scenarios"]["on_screen"]["rows"]["model"]["adaptive"]
    assert {name: figures[name] for name in ("ciou_at_50", "ciou_mean", "ciou_auc")} == ciou.compute()
    assert tn_rate.compute() == {
        "tn_rate": report["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]["tn_rate"],
        "threshold": report["universal_threshold"]["model"],
    }
    found = pia.compute()
    expected = {
        name: value for name, value in report["pia"]["rows"]["mismatched_audio"].items() if name != "pia_interval"
    }
    assert found == {**expected, "threshold": report["pia"]["threshold"]}
    assert detection.compute() == report["detection"]["model"]["adaptive"]
    assert segmentation.compute() == filled(clips, segmentation=True).compute()["segmentation"]["model"]
    rows = [row for row in filled(clips).samples() if row["scenario"] != "off_screen"]
    worst = [min(r["model/adaptive"] for r in rows if r["clip"] == clip) for clip in {row["clip"] for row in rows}]
    assert scenes.compute()["iiou"] == np.mean(np.array(worst) >= 0.5)
    moved = pointing.compute()
    assert moved["pointing"] == figures["pointing"]
    assert moved["switches"] == 6  # all on-screen clips but those with one moment alone: class 4 gives way to dög+cat
    assert stability.compute() == {"stability": None}


def test_stability_is_that_of_the_suite() -> None:
    suite, alone = LocalizationSuite(("top_half",), SIZE), Stability(size=SIZE)
    for maps, targets in (
        moments(Scenario.SINGLE_SOUND, ["dog"], [0]),
        moments(Scenario.OFF_SCREEN, ["dog"] * 3, [0, 0, 3]),
    ):
        suite.update(maps, targets)
        chosen = maps["model"][targets.row, targets.segment]
        seen = targets.scenario != Scenario.OFF_SCREEN.id
        alone.update(chosen, seen, targets.index, targets.clip, targets.time_s)
    figures = suite.compute()["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]
    assert alone.compute() == {"stability": figures["stability"]}


def test_the_examples_in_the_docstrings() -> None:
    for module in (localization, mismatched_audio):
        outcome = doctest.testmod(module)
        assert (outcome.attempted > 0, outcome.failed) == (True, 0)


def test_the_samples_list_every_value() -> None:
    suite = filled(list(range(5)), rules=("top_half", "fixed:0.1"))
    rows = suite.samples()
    assert [row["sample_id"] for row in rows[:3]] == [
        "clip_00000/00009/single_sound",
        "clip_00000/00040/single_sound",
        "clip_00001/00009/mixed_sound",
    ]
    assert list(rows[0])[:12] == [
        *("sample_id", "clip", "scenario", "category", "cross_event", "time_s", "sources", "area"),
        *("model/top_half", "model/fixed:0.1", "model/pointing", "model/confidence"),
    ]
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
    assert rows[0]["model/universal:0.9"] is None
    report = suite.compute()
    threshold = report["universal_threshold"]["random"]
    share = true_negative_share(random_maps(clip_targets(3, 0).index[:1]), threshold, SIZE).item()
    assert off_screen["random/universal:0.9"] == share
    assert report["scenarios"]["off_screen"]["rows"]["random"]["universal:0.9"]["tn_rate"] == share


def test_intervals_are_by_video() -> None:
    suite = filled(list(range(8)))
    scenarios, rows = suite.compute()["scenarios"], suite.samples()
    for scenario, rule, name in (
        ("on_screen", "adaptive", "ciou_mean_interval"),
        ("off_screen", "universal:0.9", "tn_rate_interval"),
    ):
        chosen = [row for row in rows if (row["scenario"] == "off_screen") == (scenario == "off_screen")]
        clip = np.array([int(row["clip"].removeprefix("clip_")) for row in chosen])
        values = np.array([[row[f"model/{rule}"]] for row in chosen])
        interval = bootstrap_interval(values, clip)[:, 0].tolist()
        assert scenarios[scenario]["rows"]["model"][rule][name] == pytest.approx(interval, abs=1e-12)


def test_the_samples_follow_an_update() -> None:
    suite = filled([0])
    suite.compute()
    assert len(suite.samples()) == 2
    update(suite, *next(batches([1], 1)))
    assert len(suite.samples()) == 4


def test_a_repeated_sample_counts_once() -> None:
    clips = list(range(5))
    assert filled([*clips, 0, 1, 2]).compute() == filled(clips).compute()


def test_only_what_was_asked_for() -> None:
    report = filled([0, 1], rules=("top_tenth",), baselines=False).compute()
    assert list(report["scenarios"]["on_screen"]["rows"]) == ["model", "mismatched_audio"]
    assert "off_screen" not in report["scenarios"]
    assert report["universal_threshold"] == {}


def test_off_screen_samples_alone_have_no_threshold() -> None:
    suite = LocalizationSuite(size=SIZE)
    targets = clip_targets(3, 0)
    first = Targets(**{name: getattr(targets, name)[:1] for name in Targets._fields})
    suite.update(clip_maps([3]), first)
    off_screen = suite.compute()["scenarios"]["off_screen"]
    assert off_screen["rows"]["model"]["universal:0.9"] == {"tn_rate": None, "tn_rate_interval": None}
    assert suite.samples()[0]["model/universal:0.9"] is None


def test_left_out_clips_are_counted_once_and_forgotten_on_reset() -> None:
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


def test_an_empty_suite_reports_nothing() -> None:
    suite = LocalizationSuite(size=SIZE)
    empty = Targets(**{name: getattr(clip_targets(0, 0), name)[:0] for name in Targets._fields})
    suite.update(clip_maps([0]), empty)
    assert suite.compute()["scenarios"] == {}
    assert suite.samples() == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_score_is_an_error_that_names_the_sample(value: float) -> None:
    maps, targets = next(batches([0, 1], 2))
    maps["mismatched_audio"][1, 1, 2, 3] = value
    with pytest.raises(RunFailedError, match="'mismatched_audio' heatmap of clip_00001/00009/mixed_sound holds NaN"):
        LocalizationSuite(size=SIZE).update(maps, targets)


def test_wrong_sizes_and_rules_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"masks are 32x32 pixels .* 224x224"):
        LocalizationSuite().update(*next(batches([0], 1)))
    with pytest.raises(ConfigError, match=r"'fixed:0.5' must be one threshold"):
        LocalizationSuite(off_screen_rule="fixed:0.5")


def test_figures_do_not_depend_on_the_number_of_threads() -> None:
    clips = list(range(8))
    expected = filled(clips).compute()
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            assert filled(clips, 8).compute() == expected
    finally:
        torch.set_num_threads(threads)


def test_the_universal_threshold_comes_from_on_screen_frames() -> None:
    suite = filled([0, 3])
    threshold = suite.compute()["universal_threshold"]["model"]
    quiet = LocalizationSuite(size=SIZE)
    for maps, targets in batches([0, 3], 2):
        off_screen = targets.scenario == Scenario.OFF_SCREEN.id
        maps["model"][targets.row[off_screen], targets.segment[off_screen]] = -1.0
        quiet.update(maps, targets)
    report = quiet.compute()
    assert report["universal_threshold"]["model"] == threshold
    assert report["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]["tn_rate"] == 1.0


def test_a_universal_rule_is_a_fixed_one_at_the_quantile() -> None:
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
        LocalizationSuite(("universal:0.9",), SIZE).update(clip_maps([0]), targets._replace(mask=targets.mask / 2))


def test_weights_are_taken_as_weights() -> None:
    targets = clip_targets(0, 0)
    suite = LocalizationSuite(("top_half",), SIZE)
    suite.update(clip_maps([0]), targets._replace(mask=targets.mask / 2))
    rows = suite.samples()
    area = targets.mask[0].sum().item()
    assert rows[0]["area"] == area / SIZE**2
    assert rows[0]["whole_image/top_half"] == pytest.approx(area / 2 / (SIZE**2 - area / 2))
    chosen = clip_maps([0])["model"][0, targets.segment]
    values = ciou_of_maps(chosen, targets.mask / 2, [parse_rule("top_half")])
    assert [row["model/top_half"] for row in rows] == values[:, 0].tolist()


def test_the_breakdown_counts_every_on_screen_sample() -> None:
    suite = filled(list(range(15)), rules=("adaptive",))
    report = suite.compute()
    breakdown, rows = report["breakdown"], [row for row in suite.samples() if row["scenario"] != "off_screen"]
    whole = report["scenarios"]["on_screen"]
    assert sum(group["samples"] for group in breakdown["size"].values()) == whole["samples"]
    assert {name: group["samples"] for name, group in breakdown["sources"].items()} == {"1": 23, "2": 4}
    assert breakdown["category"]["cat"] == breakdown["category"]["dög"]
    assert breakdown["category"]["class 4"]["samples"] == 1
    medium = [row["model/adaptive"] for row in rows if (32 / 224) ** 2 < row["area"] <= (96 / 224) ** 2]
    assert breakdown["size"]["medium"]["samples"] == len(medium) < len(rows)
    figures = breakdown["size"]["medium"]["rows"]["model"]["adaptive"]
    assert figures["ciou_mean"] == pytest.approx(np.mean(medium), abs=1e-12)


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


def test_another_sound_has_a_pia_at_the_models_threshold() -> None:
    suite = filled(list(range(8)))
    report = suite.compute()
    found = report["pia"]
    assert found["threshold"] == report["universal_threshold"]["model"]
    assert list(found["rows"]) == ["mismatched_audio", "silence"]
    shares = []
    for maps, targets in batches(list(range(8)), 8):
        on_screen = targets.scenario != Scenario.OFF_SCREEN.id
        swapped = maps["mismatched_audio"][targets.row, targets.segment][on_screen]
        shares = (1 - true_negative_share(swapped, found["threshold"], SIZE)).tolist()
    wrong = [row["pia"] for row in filled(list(range(8)), 3).compute()["pia"]["rows"].values()]
    assert wrong == [row["pia"] for row in found["rows"].values()]
    figures = found["rows"]["mismatched_audio"]
    assert 0 < found["rows"]["silence"]["pia"] < 0.1, "which is that of the model itself"
    assert figures["pia"] == pytest.approx(np.mean(shares), abs=1e-12)
    assert figures["pia_interval"][0] < figures["pia"] < figures["pia_interval"][1]


def moments(scenario: Scenario, categories: list[str], peaks: list[int]) -> tuple[dict[str, Tensor], Targets]:
    """A clip with one moment a second: the source is the upper half, the peak of each map in one of four quarters."""
    count = len(peaks)
    mask = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    mask[:, : SIZE // 2] = scenario != Scenario.OFF_SCREEN
    maps = torch.zeros(1, count, 4)
    maps[0, torch.arange(count), torch.tensor(peaks)] = 1
    number = torch.arange(count)
    targets = Targets(
        mask, torch.zeros_like(number), number, number + 100 * scenario.id, torch.full_like(number, scenario.id),
        torch.full_like(number, scenario.id), torch.ones(count, dtype=torch.bool), number.double(),
        torch.ones_like(number), [f"clip_{scenario.id}/{n:05d}/{scenario}" for n in range(count)], categories,
    )  # fmt: skip
    return {"model": maps.reshape(1, count, 2, 2)}, targets


def test_the_peak_follows_a_new_source() -> None:
    suite = LocalizationSuite(("top_half",), SIZE)
    suite.update(*moments(Scenario.SINGLE_SOUND, ["dog", "dog", "cat", "cat", "cat"], [0, 0, 2, 3, 1]))
    cross_event = suite.compute()["scenarios"]["cross_event"]
    assert cross_event["switch_delay"]["model"] == {"switches": 1, "followed": 1.0, "median_s": 2.0}
    assert cross_event["switch_delay"]["whole_image"] == {"switches": 1, "followed": 0.0, "median_s": None}
    assert cross_event["rows"]["model"]["top_half"]["pointing"] == 3 / 5


def test_maps_may_rest_while_nothing_seen_sounds() -> None:
    suite = LocalizationSuite(("top_half",), SIZE)
    suite.update(*moments(Scenario.SINGLE_SOUND, ["dog"], [0]))
    suite.update(*moments(Scenario.OFF_SCREEN, ["dog"] * 3, [0, 0, 3]))
    rows = suite.compute()["scenarios"]["off_screen"]["rows"]
    figures = {row: rows[row]["universal:0.9"] for row in rows}
    dark = figures["model"]["tn_rate"]
    assert figures["model"]["stability"] == pytest.approx((1 + 1 - 2 * (1 - dark)) / 2, abs=0.01)
    assert figures["centred_disk"]["stability"] == figures["whole_image"]["stability"] == 1


def test_sounds_of_one_picture_make_a_scene() -> None:
    suite = LocalizationSuite(("top_half",), SIZE)
    maps, targets = moments(Scenario.MIXED_SOUND, ["dog", "cat", "cow"], [0, 3, 1])
    suite.update(maps, targets._replace(time_s=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)))
    report, rows = suite.compute(), suite.samples()
    worst = min(row["model/top_half"] for row in rows[:2])
    assert report["scenes"]["scenes"] == 1
    assert report["scenes"]["rows"]["model"]["top_half"]["iiou"] == float(worst >= 0.5)
    assert report["scenes"]["rows"]["model"]["top_half"]["iauc"] == pytest.approx(worst, abs=0.025)


def test_detection_needs_samples_without_a_source() -> None:
    suite = filled(list(range(8)), rules=("fixed:-0.2",))
    report, rows = suite.compute()["detection"], suite.samples()
    assert list(report) == ["model", "mismatched_audio"]
    columns = [[row[f"model/{name}"] or 0.0 for row in rows] for name in ("fixed:-0.2", "confidence")]
    visible, clip = [row["scenario"] != "off_screen" for row in rows], [int(row["clip"][-5:]) for row in rows]
    expected = detection_figures(*map(np.array, (*columns, visible, clip)))
    assert report["model"]["fixed:-0.2"] == expected
    assert expected["loc_acc"] == suite.compute()["scenarios"]["on_screen"]["rows"]["model"]["fixed:-0.2"]["ciou_at_50"]
    assert "detection" not in filled([0, 1, 2]).compute()


def test_segmentation_only_where_asked_for() -> None:
    assert "segmentation" not in filled([0]).compute()
    figures = filled(list(range(8)), segmentation=True).compute()["segmentation"]
    assert list(figures) == ["model", "mismatched_audio"]
    assert all(0 < figures[row][name] < 1 for row in figures for name in ("miou", "f_score"))


def test_without_maps_there_are_no_off_screen_figures() -> None:
    report = filled(list(range(8)), keep_maps=False).compute()
    assert report["universal_threshold"] == {}
    assert report["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]["tn_rate"] is None
    assert report["scenarios"]["on_screen"] == filled(list(range(8))).compute()["scenarios"]["on_screen"]
