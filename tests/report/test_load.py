"""Reading the results of runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.report.load import read_runs
from tests.helpers.results import write_results


def test_read_runs_accepts_folder_parent_and_file(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run" / "test", {"a": 0.5})
    for path in (folder, folder.parent, folder / "results.json"):
        (run,) = read_runs([path])
        assert run.folder == folder
        assert run.name == "run/test"


def test_read_runs_names_are_the_differing_path_parts(tmp_path: Path) -> None:
    folders = [write_results(tmp_path / name / "test", {"a": 0.5}) for name in ("one", "two/deep")]
    assert [run.name for run in read_runs(folders)] == ["one", "two/deep"]


def test_read_runs_groups_equal_those_of_the_results(tmp_path: Path) -> None:
    values = {"a/1/single_sound": 0.5, "a/2/mixed_sound": 0.5, "b/1/single_sound": 0.1, "c/1/off_screen": 0.9}
    (run,) = read_runs([write_results(tmp_path, values, cross_event={"b"})])
    groups = {name: np.flatnonzero(members).tolist() for name, members in run.samples.groups().items()}
    assert groups == {
        "single_sound": [0, 2],
        "mixed_sound": [1],
        "cross_event": [2],
        "on_screen": [0, 1, 2],
        "off_screen": [3],
    }
    assert list(run.metrics["scenarios"]) == list(groups)


def test_scores_use_the_rule_of_each_kind_of_sample(tmp_path: Path) -> None:
    (run,) = read_runs([write_results(tmp_path, {"a/1/single_sound": 0.5, "c/1/off_screen": 0.9})])
    assert np.array_equal(run.scores("single_sound"), [0.5, np.nan], equal_nan=True)
    assert np.array_equal(run.scores("off_screen"), [np.nan, 0.9], equal_nan=True)
    assert run.rows() == ["model", "whole_image"]


def test_scores_of_one_rule_separate_kinds_of_samples(tmp_path: Path) -> None:
    values = {"a/1/single_sound": 0.5, "c/1/off_screen": 0.9}
    (run,) = read_runs([write_results(tmp_path, values, rule="universal:0.9")])
    assert np.array_equal(run.scores("single_sound"), [0.5, np.nan], equal_nan=True)


@pytest.mark.parametrize("damage", ["missing", "no csv", "not json", "another json", "no column", "maps"])
def test_read_runs_error_names_the_damaged_folder(tmp_path: Path, damage: str) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5})
    results: Any = {
        "missing": (folder / "results.json").unlink,
        "no csv": (folder / "per_sample.csv").unlink,
        "not json": lambda: (folder / "results.json").write_text("{"),
        "another json": lambda: (folder / "results.json").write_text(json.dumps({"metrics": {"loss": 1}})),
        "no column": lambda: (folder / "per_sample.csv").write_text("name,model/top_half\nx,0.5\n"),
        "maps": lambda: (folder / "maps.npz").write_bytes(b"no archive"),
    }
    results[damage]()
    with pytest.raises(TavloError, match=r"run[:/]") as raised:
        read_runs([folder])
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_read_runs_rejects_the_same_folder_twice(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run" / "test", {"a": 0.5})
    with pytest.raises(ConfigError, match="twice"):
        read_runs([folder, folder.parent])


def test_read_runs_accepts_files_saved_with_a_mark(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5})
    for name in ("results.json", "per_sample.csv"):
        (folder / name).write_text((folder / name).read_text(), "utf-8-sig")
    (run,) = read_runs([folder])
    assert run.samples.clip.tolist() == ["a"]


ODD: list[dict[str, Any]] = [
    {"metrics": []},
    {"metrics": {"rules": []}},
    {"metrics": {"rules": [3]}},
    {"metrics": {"off_screen_rule": None}},
    {"metrics": {"figures": [{"name": 3}]}},
    {"metrics": {"figures": [{"name": "a", "unit": "x"}]}},
    {"metrics": {"figures": [{"other": 3}]}},
    {"metrics": {"scenarios": []}},
    {"metrics": {"scenarios": {"single_sound": 3}}},
    {"metrics": {"scenarios": {"single_sound": {"samples": "1", "clips": 1, "rows": {}}}}},
    {"metrics": {"scenarios": {"single_sound": {"samples": 1, "clips": 1, "rows": []}}}},
    {"metrics": {"scenarios": {"single_sound": {"samples": 1, "clips": 1, "rows": {"model": {"r": {"a": "x"}}}}}}},
    {"metrics": {"scenarios": {"a": {"samples": 1, "clips": 1, "rows": {"model": {"r": {"a": 10**400}}}}}}},
    {"metrics": {"scenarios": {"a": {"samples": 1, "clips": 1, "rows": {"model": {"r": {"a_interval": [1]}}}}}}},
    {"metrics": {"breakdown": {"size": 3}}},
    {"metrics": {"left_out": {"clips": 1, "samples": 1, "reasons": []}}},
    {"metrics": {"protocol": {}}},
    {"metrics": {"protocol": []}},
    {"metrics": {"universal_threshold": {"model": "x"}}},
    {"checkpoint": "x"},
    {"data_fingerprint": [1]},
]


@pytest.mark.parametrize("changes", ODD, ids=lambda changes: str(changes)[:60])
def test_read_runs_checks_the_figures(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5})
    results = json.loads((folder / "results.json").read_text())
    for name, value in changes.items():
        results[name] = results[name] | value if isinstance(value, dict) and name in results else value
    (folder / "results.json").write_text(json.dumps(results))
    with pytest.raises(ConfigError, match="not the results of a test"):
        read_runs([folder])
