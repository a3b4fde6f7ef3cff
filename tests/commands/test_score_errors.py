"""``tavlo score``: missing predictions and mistakes of the user."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.cli import tavlo
from tests.helpers.score import FRAME_RATE, TREE, run, save, write_tree, write_vggss


def test_score_does_not_replace_another_score(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {"a": [[0.0, 0.0, 0.5, 0.5]]})
    save(tmp_path, "a", heatmap=np.eye(4)[None])
    words = ["--dataset", "vggss", "--annotations", annotations, "--predictions", tmp_path / "maps", "--out"]
    one, two = tmp_path / "out" / "one.json", tmp_path / "out" / "two.json"
    assert tavlo("score", *words, one).code == 0
    before = {path.name: path.read_bytes() for path in one.parent.iterdir()}
    for refused in (tavlo("score", *words, two), tavlo("score", *words, one, "--rule", "fixed:0.5")):
        assert refused.code == 2
        assert "one.json holds results" in refused.err and "--overwrite true" in refused.err
    assert before == {path.name: path.read_bytes() for path in one.parent.iterdir()}
    assert tavlo("score", *words, one).code == 0, "the same options"
    assert tavlo("score", *words, two, "--overwrite", "true").code == 0


def test_score_refuses_unfinished_predictions(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {"a": [[0.0, 0.0, 0.5, 0.5]]})
    arrays = {"heatmap": np.eye(4)[None], "frame_time_s": np.zeros(1), "duration_s": 1.0, "size": np.array([4, 4])}
    save(tmp_path, "a", **arrays)
    outcome, _, _ = run(tmp_path, "vggss", annotations)
    assert outcome.code == 2 and "a.npz: tavlo predict has not finished it" in outcome.err
    (tmp_path / "maps" / "a.sources.json").write_text("{}")
    assert run(tmp_path, "vggss", annotations)[0].code == 0


def test_score_lists_skips_or_zeroes_missing_predictions(tmp_path: Path) -> None:
    box = [[0.0, 0.0, 0.5, 0.5]]
    annotations = write_vggss(tmp_path, {"a": box, "b": box, "c": box})
    peak = np.zeros((1, 4, 4))
    peak[0, 0, 0] = 1
    save(tmp_path, "b", heatmap=peak)
    outcome, _, _ = run(tmp_path, "vggss", annotations)
    assert outcome.code == 2
    assert "no heatmap for 2 of 3 samples (a.npz, c.npz); there are 1 files such as b.npz" in outcome.err
    assert not (tmp_path / "out").exists()
    outcome, results, rows = run(tmp_path, "vggss", annotations, "--missing", "skip")
    assert results["n"] == len(rows) == 1
    assert results["metrics"]["left_out"]["reasons"] == {"a": "no prediction", "c": "no prediction"}
    assert "2 clips with 2 samples (a: no prediction; c: no prediction)" in outcome.out
    _, results, rows = run(tmp_path, "vggss", annotations, "--missing", "zero", "--rule", "fixed:0.5")
    assert results["missing"] == {"policy": "zero", "samples": 2, "names": ["a", "c"]}
    assert [float(row["ciou"]) > 0 for row in rows] == [False, True, False]
    (tmp_path / "maps" / "b.npz").rename(tmp_path / "maps" / "other.npz")
    outcome, _, _ = run(tmp_path, "vggss", annotations, "--missing", "zero")
    assert outcome.code == 2
    assert "check the names" in outcome.err


def test_score_counts_samples_left_out_by_clip(tmp_path: Path) -> None:
    write_tree(tmp_path)
    first, second, _ = sorted(TREE)
    for name in (first, second):
        (tmp_path / "maps" / f"{name}.npz").unlink()
    save(tmp_path, f"{second}/00010", heatmap=np.ones((4, 5)))
    outcome, results, _ = run(tmp_path, "avatar", tmp_path, "--missing", "skip", "--frame_rate", FRAME_RATE)
    assert outcome.code == 0, outcome.err
    left_out = results["metrics"]["left_out"]
    assert left_out == {
        "clips": 2,
        "samples": len(TREE[first]) + 1,
        "reasons": {first: "no prediction", second: f"no prediction for {second}/00035"},
    }


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"map": np.zeros((1, 4, 4))}, r"needs an array heatmap \(T, h, w\) of numbers, found map float64\[1, 4, 4\]"),
        ({"heatmap": np.zeros(4)}, r"heatmap is float64\[4\], not numbers with 2 or 3 axes"),
        ({"heatmap": np.full((1, 4, 4), np.nan)}, "map 0 of heatmap holds NaN"),
        ({"heatmap": np.zeros((2, 4, 4))}, "2 maps and neither frame_time_s nor frame_number"),
        ({"heatmap": np.zeros((2, 4, 4)), "frame_time_s": [1.0]}, r"frame_time_s must have one number .* shape \[1\]"),
        ({"heatmap": np.zeros((1, 3, 4))}, "the map of b has 3x4 cells and that of a 4x4"),
    ],
)
def test_score_names_file_and_field_of_broken_predictions(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    annotations = write_vggss(tmp_path, {name: [[0.0, 0.0, 0.5, 0.5]] for name in "ab"})
    save(tmp_path, "a", heatmap=np.zeros((1, 4, 4)))
    save(tmp_path, "b", **arrays)
    outcome, _, _ = run(tmp_path, "vggss", annotations)
    assert outcome.code == 2
    assert re.search(words, outcome.err), outcome.err


def test_score_reports_other_mistakes_in_one_sentence(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {"a": [[0.0, 0.0, 0.5, 0.5]]})
    outcome, _, _ = run(tmp_path, "vggss", annotations)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "no heatmaps there; expected files <sample_id>.npz" in outcome.err
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.npz").write_text("<html>")
    assert "no archive of arrays" in run(tmp_path, "vggss", annotations)[0].err
    save(tmp_path, "a", heatmap=np.zeros((1, 4, 4)))
    for options, words in (
        (["--rule", "top10"], "Unknown threshold rule 'top10'"),
        (["--size", "0"], "--size 0"),
        (["--interpolation", "nearest"], "nearest"),
    ):
        outcome, _, _ = run(tmp_path, "vggss", annotations, *options)
        assert outcome.code == 2
        assert words in outcome.err
