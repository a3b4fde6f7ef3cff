"""Files that earlier runs left, damaged or from others: maps, figures, records, caches, journals, sources."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tavlo_pl.data.index.probe import Journal
from tavlo_pl.data.shards.source import Shards, Store
from tavlo_pl.errors import TavloError
from tavlo_pl.predict.folder import _read_sources
from tavlo_pl.predict.gallery import _read_card
from tavlo_pl.report.load import read_runs
from tavlo_pl.report.records import VALUES, RunRecord
from tavlo_pl.run import provenance
from tavlo_pl.run.results import SampleMaps
from tests.helpers.hostile import refusal
from tests.helpers.results import write_results
from tests.nn.pretrained.test_cache import FRAMES, Counting, opened
from tests.run.test_results import maps

GOOD = maps()
MAPS: dict[str, dict[str, Any]] = {
    "names are numbers": {"sample_id": np.arange(3)},
    "names are bytes": {"sample_id": np.array([b"a", b"b", b"c"])},
    "names are objects": {"sample_id": np.array(["a", "b", None], object)},
    "names are half a pair": {"sample_id": np.array(["\ud800", "b", "c"])},
    "one name more": {"sample_id": np.array(list("abcd"))},
    "showing is negative": {"showing": np.array([0, -1, 1])},
    "showing is beyond": {"showing": np.array([0, 0, 2])},
    "showing is NaN": {"showing": np.array([0, np.nan, 1])},
    "segment is beyond": {"segment": np.array([0, 3, 1])},
    "segment is 2**62": {"next_segment": np.array([0, 2**62, 1])},
    "segment is a text": {"segment": np.array(["0", "1", "2"])},
    "weight is NaN": {"blend": np.array([0, np.nan, 0], np.float32)},
    "weight is 2": {"blend": np.array([0, 2, 0], np.float32)},
    "time is infinite": {"time_s": np.array([0, np.inf, 1])},
    "time is complex": {"time_s": np.zeros(3, complex)},
    "times of frames are infinite": {"frame_time_s": np.full((2, 3), -np.inf)},
    "times of other frames": {"frame_time_s": np.zeros((2, 4))},
    "size is 0": {"size": np.array([0, 9])},
    "size is huge": {"size": np.array([2**31, 2**31])},
    "size of three axes": {"size": np.array([1, 2, 3])},
    "maps are NaN": {"heatmap": np.full((2, 3, 4, 4), np.nan, np.float16)},
    "maps are infinite": {"heatmap": np.full((2, 3, 4, 4), np.inf, np.float16)},
    "maps are texts": {"heatmap": np.full((2, 3, 4, 4), "1")},
    "maps of three axes": {"heatmap": np.zeros((2, 4, 4), np.float16)},
    "maps of other clips": {"heatmap": np.zeros((3, 3, 4, 4), np.float16)},
    "no maps": {"heatmap": np.zeros((2, 0, 4, 4), np.float16)},
    "path is a number": {"path": np.arange(2)},
}


@pytest.mark.parametrize("change", MAPS.values(), ids=MAPS)
def test_maps_of_a_test_are_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    arrays = GOOD._asdict() | {"mask": np.zeros(6, np.uint8), "mask_length": np.array([2, 2, 2])} | change
    np.savez(tmp_path / "maps.npz", **arrays)
    assert "maps.npz" in refusal(lambda: SampleMaps.read(tmp_path / "maps.npz"))


@pytest.mark.parametrize("lengths", [[2, 2, 1], [2, 2, 3], [-2, 4, 4], [2**62, 2**62, 2**62]], ids=str)
def test_masks_of_a_test_are_complete(tmp_path: Path, lengths: list[int]) -> None:
    arrays = GOOD._asdict() | {"mask": np.zeros(6, np.uint8), "mask_length": np.array(lengths)}
    np.savez(tmp_path / "maps.npz", **arrays)
    assert "maps.npz" in refusal(lambda: SampleMaps.read(tmp_path / "maps.npz"))


def test_mask_that_is_none_is_refused_where_it_is_drawn() -> None:
    assert "a/2" in refusal(lambda: GOOD._replace(mask=np.array([b"", b"x", b""], object)).truth(1))


@pytest.mark.parametrize("name", ["results.json", "per_sample.csv", "maps.npz"])
def test_pipe_in_the_folder_of_a_run_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_results(tmp_path / "run", {"a": 0.5})
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")
    if name == "maps.npz":
        assert "maps.npz" in refusal(lambda: SampleMaps.read(folder / name))
    else:
        assert "run" in refusal(lambda: read_runs([folder]))


def record(**changes: Any) -> RunRecord:
    known: dict[str, Any] = {
        "variant": "a", "seed": 0, "config": {}, "protocol": {}, "revision": None, "parameters": 3, "fit_s": 1.0,
        "inference_s": 0.1, "samples_sha256": "y", "clip": [0, 1], "scenario": ["a", "b"], "cue": ["", ""],
        "cross_event": [0, 0], "values": {name: [0.5, None] for name in VALUES},
    }  # fmt: skip
    return RunRecord(**(known | changes))


RECORDS: dict[str, dict[str, Any]] = {
    "values are texts": {"values": {name: ["a", "b"] for name in VALUES}},
    "values are NaN": {"values": {name: [math.nan, 1.0] for name in VALUES}},
    "values are infinite": {"values": {name: [math.inf, 1.0] for name in VALUES}},
    "values are few": {"values": {name: [1.0] for name in VALUES}},
    "clips are texts": {"clip": ["a", "b"]},
    "one scenario": {"scenario": ["a"]},
    "cue is a number": {"cue": [1, 2]},
    "cross event is a text": {"cross_event": ["0", "1"]},
    "seed is a text": {"seed": "0"},
    "time is NaN": {"fit_s": math.nan},
    "parameters are infinite": {"parameters": math.inf},
    "protocol is a list": {"protocol": []},
    "configuration is a list": {"config": []},
}


@pytest.mark.parametrize("changes", RECORDS.values(), ids=RECORDS)
def test_record_with_odd_values_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    record().write(tmp_path / "0.json")
    assert RunRecord.read(tmp_path / "0.json") == record()
    record(**changes).write(tmp_path / "0.json")
    assert "0.json" in refusal(lambda: RunRecord.read(tmp_path / "0.json"))


def test_record_of_another_version_is_made_again(tmp_path: Path) -> None:
    assert RunRecord.read(tmp_path / "0.json") is None
    for text in ("{}", "[]", '{"scenario": 3}'):
        (tmp_path / "0.json").write_text(text)
        assert RunRecord.read(tmp_path / "0.json") is None
    for text in ("", "[" * 100_000, '{"a": 1', "9" * 5_000):
        (tmp_path / "0.json").write_text(text)
        assert "0.json" in refusal(lambda: RunRecord.read(tmp_path / "0.json"))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4)


def not_finite(path: Path) -> None:
    path.write_bytes(np.full(9, np.nan, np.float16).tobytes())


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, not_finite, emptied])
def test_damaged_features_are_computed_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    encoder = torch.nn.Linear(2, 2)
    wanted = opened(tmp_path, encoder).get(FRAMES, Counting())
    (features,) = tmp_path.glob("*/*.f16")
    damage(features)
    mean = Counting()
    assert torch.equal(opened(tmp_path, encoder).get(FRAMES, mean), wanted)
    assert mean.computed >= 1


def test_features_that_are_not_finite_are_not_stored(tmp_path: Path) -> None:
    cache = opened(tmp_path, torch.nn.Linear(2, 2))
    for _ in range(2):
        assert torch.isinf(cache.get(FRAMES, lambda frames: torch.full((len(frames), 3), 1e9))).all()
    assert len(cache) == 0


JOURNALS = ["x", "[]", "3", "{}", '{"whole": 3}', '{"file": {}}', '{"file": {"path": "a"}, "other": 1}', "[" * 100_000]


@pytest.mark.parametrize("line", JOURNALS, ids=lambda line: line[:20])
def test_damaged_journal_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.journal").write_text(line + "\n")
    assert "a.journal is damaged" in refusal(lambda: Journal(tmp_path / "a.journal", ()))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "[" * 100_000, '{"score": 1e999}', f'{{"score": {10**400}}}', "\ud800"]
)
def test_results_of_others_are_left_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.sources.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "a.npz").touch()
    assert _read_card(path, Path.is_file) is None
    assert isinstance(_read_sources(path), dict)
    (tmp_path / "run.json").write_bytes(path.read_bytes())
    assert provenance.read(tmp_path) == []


def test_numbers_of_results_that_no_float_holds_are_left_out(tmp_path: Path) -> None:
    known: dict[str, Any] = {"made_with": {}, "video": "a", "sample_id": "a", "duration_s": 1.0, "threshold": None}
    known |= {"score": 0.5, "best_s": 0.0, "visible_share": None}
    (tmp_path / "a.npz").touch()
    odd = [{name: value} for name in ("score", "duration_s", "best_s") for value in (10**400, "x", None, math.nan)]
    for changes in (*odd, {"steps": [{"time_s": 10**400, "score": 1}]}, {"visible_share": math.inf}):
        facts = known | {"steps": [{"time_s": 0, "score": 0.5}]} | changes
        (tmp_path / "a.sources.json").write_text(json.dumps(facts))
        assert _read_card(tmp_path / "a.sources.json", Path.is_file) is None


SPECS: dict[str, dict[str, Any]] = {
    "segments 0": {"segments": 0},
    "segments 10**9": {"segments": 10**9},
    "segments 1.5": {"segments": 1.5},
    "segments true": {"segments": True},
    "segments text": {"segments": "3"},
    "length NaN": {"duration_s": math.nan},
    "length infinite": {"duration_s": math.inf},
    "length text": {"duration_s": "2"},
    "frames 10**9": {"frames_per_segment": 10**9 + 1},
    "image list": {"image_size": [1]},
    "side 2**70": {"longest_side": 2**70},
    "quality text": {"quality": "80"},
    "other": {"other": 1},
}


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS)
def test_note_of_shards_is_checked(tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = {"segments": 3, "frames_per_segment": 1, "duration_s": 2.0} | changes
    (tmp_path / "shards.json").write_text(json.dumps({"spec": spec}))
    assert refusal(lambda: Store(str(tmp_path)).spec)


def test_files_of_shards_are_regular(tmp_path: Path) -> None:
    for name in ("shards.json", "index.parquet"):
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(TavloError, match=r"of the system|is a device"):
        _ = Store(str(tmp_path)).spec
    assert "index.parquet" in refusal(lambda: Shards(str(tmp_path)).clips())
