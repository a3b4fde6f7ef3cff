"""Comparisons of runs with given metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.report.compare import Comparison, compare, comparison_table
from tavlo_pl.report.examples import best_and_worst, best_middle_worst, clips_of, gained_and_lost
from tavlo_pl.report.load import read_runs
from tests.helpers.results import write_results

CLIPS = [f"clip{n:02}" for n in range(20)]
HARD = dict(zip(CLIPS, np.linspace(0, 0.8, 20).tolist(), strict=True))
EASY = {clip: value + 0.1 for clip, value in HARD.items()}
SILENT = {f"{clip}/1/off_screen": 0.9 for clip in CLIPS}


def compared(
    folder: Path, first: dict[str, float], second: dict[str, float], one: Any = (), two: Any = ()
) -> Comparison:
    folders = [write_results(folder / "a", first, **dict(one)), write_results(folder / "b", second, **dict(two))]
    return compare(*read_runs(folders))


def test_compare_matches_samples_by_name(tmp_path: Path) -> None:
    found = compared(tmp_path, HARD, dict(reversed(EASY.items()))).differences["single_sound"]["top_half"]
    mean, at_50 = found["ciou_mean"], found["ciou_at_50"]
    assert (mean.first, mean.second, mean.difference) == pytest.approx((0.4, 0.5, 0.1))
    assert (mean.low, mean.high) == pytest.approx((0.1, 0.1))
    assert mean.verdict == "higher"
    assert at_50.first == np.mean([value >= 0.5 for value in HARD.values()])
    assert (mean.samples, mean.clips) == (20, 20)


def test_compare_uses_tn_rate_of_off_screen_samples(tmp_path: Path) -> None:
    better = dict.fromkeys(SILENT, 1.0)
    found = compared(tmp_path, HARD | SILENT, EASY | better).differences["off_screen"]
    assert list(found) == ["universal:0.9"]
    assert found["universal:0.9"]["tn_rate"].difference == pytest.approx(0.1)


def test_compare_uses_common_samples_only(tmp_path: Path) -> None:
    part = {clip: EASY[clip] for clip in CLIPS[:15]}
    comparison = compared(tmp_path, HARD, part | {"another": 1.0})
    assert comparison.to_json()["samples"] == {"both": 15, "first": 20, "second": 16}
    table = comparison_table(comparison)
    assert table.rows[0] == ["single_sound ciou_mean", "29.5", "39.5", "+10.0", "+10.0 to +10.0", "15 (15)", "higher"]
    assert any("15 samples" in note for note in table.notes)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"data_fingerprint": {"sha256": "x"}}, {"data_fingerprint": {"sha256": "x"}}, True),
        ({"data_fingerprint": {"sha256": "x"}}, {"data_fingerprint": {"sha256": "y"}}, False),
        ({"fingerprint": {"annotations": "x"}}, {"fingerprint": {"annotations": "x"}}, True),
        ({"data_fingerprint": {"sha256": "x"}}, {"fingerprint": {"annotations": "y"}}, None),
        ({"data_fingerprint": {"sha256": "x"}}, {"data_fingerprint": None}, None),
        ({}, {}, None),
    ],
)
def test_compare_checks_fingerprints_of_the_ground_truth(
    tmp_path: Path, one: dict[str, Any], two: dict[str, Any], same: bool | None
) -> None:
    comparison = compared(tmp_path, HARD, EASY, one, two)
    assert comparison.same_data is same
    words = {True: "", False: "not tested on the same ground truth", None: "matched by name alone"}[same]
    assert words in " ".join(comparison_table(comparison).notes)
    assert any("fingerprint" in note for note in comparison_table(comparison).notes) == (same is not True)


def test_compare_rejects_runs_without_common_samples(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no sample"):
        compared(tmp_path / "samples", HARD, {"another": 0.5})
    with pytest.raises(ConfigError, match="no threshold rule"):
        compared(tmp_path / "rules", HARD, EASY, {"rule": "top_half"}, {"rule": "top_tenth"})


def test_best_and_worst_are_of_different_clips(tmp_path: Path) -> None:
    values = {f"{clip}/{n}/single_sound": value for clip, value in HARD.items() for n in range(3)} | SILENT
    values["clip07/1/off_screen"] = 0.1
    (run,) = read_runs([write_results(tmp_path / "run", values)])
    chosen = best_and_worst(run)
    assert [name.split("/")[0] for name in chosen["Best"]] == CLIPS[:-7:-1]
    assert [name.split("/")[0] for name in chosen["Worst"]] == CLIPS[:6]
    assert chosen["Off-screen, most false positives"][0] == "clip07/1/off_screen"
    clips = best_middle_worst(run)
    assert list(clips.values()) == ["clip19", "clip09", "clip00"]
    assert "0.80" in next(iter(clips))


def test_best_and_worst_of_few_samples_has_one_group(tmp_path: Path) -> None:
    (run,) = read_runs([write_results(tmp_path / "run", {"a": 0.5, "b": 0.1})])
    assert best_and_worst(run) == {"Best": ["a/00000/single_sound", "b/00000/single_sound"]}


def test_gained_and_lost_are_the_largest_differences(tmp_path: Path) -> None:
    second = HARD | {"clip05": 0.9, "clip06": 0.5, "clip19": 0.0}
    comparison = compared(tmp_path, HARD, second)
    groups = gained_and_lost(comparison)
    assert groups == {
        "b is better": ["clip05/00000/single_sound", "clip06/00000/single_sound"],
        "b is worse": ["clip19/00000/single_sound"],
    }
    assert clips_of(comparison.first, groups) == {"b is better": "clip05", "b is worse": "clip19"}
