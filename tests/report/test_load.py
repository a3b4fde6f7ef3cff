"""Reading runs back, from folders written by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.report.load import read_runs
from tests.helpers.results import write_results


def test_a_run_is_found_by_its_folder_the_one_around_it_and_its_file(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run" / "test", {"a": 0.5})
    for path in (folder, folder.parent, folder / "results.json"):
        (run,) = read_runs([path])
        assert run.folder == folder
        assert run.name == "run/test"


def test_names_are_what_tells_the_folders_apart(tmp_path: Path) -> None:
    folders = [write_results(tmp_path / name / "test", {"a": 0.5}) for name in ("one", "two/deep")]
    assert [run.name for run in read_runs(folders)] == ["one", "two/deep"]


def test_groups_are_those_of_the_results(tmp_path: Path) -> None:
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


def test_each_kind_of_sample_has_its_own_rule(tmp_path: Path) -> None:
    (run,) = read_runs([write_results(tmp_path, {"a/1/single_sound": 0.5, "c/1/off_screen": 0.9})])
    assert np.array_equal(run.scores("single_sound"), [0.5, np.nan], equal_nan=True)
    assert np.array_equal(run.scores("off_screen"), [np.nan, 0.9], equal_nan=True)
    assert run.rows() == ["model", "whole_image"]


def test_one_rule_for_both_kinds_does_not_mix_them(tmp_path: Path) -> None:
    values = {"a/1/single_sound": 0.5, "c/1/off_screen": 0.9}
    (run,) = read_runs([write_results(tmp_path, values, rule="universal:0.9")])
    assert np.array_equal(run.scores("single_sound"), [0.5, np.nan], equal_nan=True)


@pytest.mark.parametrize("damage", ["missing", "no csv", "not json", "another json", "no column", "maps"])
def test_what_is_no_run_is_one_sentence_with_its_path(tmp_path: Path, damage: str) -> None:
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
    with pytest.raises(ConfigError, match="run: ") as raised:
        read_runs([folder])
    assert "\n" not in str(raised.value)


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "run" / "test", {"a": 0.5})
    with pytest.raises(ConfigError, match="twice"):
        read_runs([folder, folder.parent])
