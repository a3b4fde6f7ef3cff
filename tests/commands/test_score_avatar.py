"""``tavlo score`` by AVATAR's own evaluation, against a slow reference, and the files that its users know."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import avatar_reference as reference
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.trees import instance, write_annotation

CLIPS = ("l_7B1wnTNtA_00020", "-abc-_defgh_00007", "zzz__zzz-zz_00100")
SIZE = {"width": 640, "height": 360}


def box(x: int, y: int, width: int, height: int) -> list[float]:
    """A flat polygon with whole corners."""
    return [x, y, x + width, y, x + width, y + height, x, y + height]


FRAMES: dict[str, dict[str, list[dict[str, Any]]]] = {
    CLIPS[0]: {
        "00000": [instance("Single-Sound", segmentation=[box(0, 0, 80, 40), box(40, 20, 90, 50)])],
        "00012": [instance("Mixed-Sound", segmentation=[box(300, 100, 64, 64)]), instance("Single-Sound", "cat",
                  segmentation=[box(10, 200, 200, 100)])],
        "00020": [instance("Off-Screen", "bird", segmentation=None)],
    },
    CLIPS[1]: {
        "00003": [instance("Multi-Entity", segmentation=[box(200, 50, 300, 200)]),
                  instance("Off-Screen", "bird", segmentation=None)],
        "00031": [instance("Off-Screen", "bird", segmentation=[box(0, 0, 640, 360)])],
    },
    CLIPS[2]: {
        "00007": [instance("Mixed-Sound", segmentation=[box(0, 0, 640, 360)])],
        "00033": [instance("Multi-Entity", segmentation=[box(639, 359, 1, 1)])],
    },
}  # fmt: skip


def write_tree(root: Path) -> None:
    """Annotations of frames of 640 x 360 pixels."""
    for clip, frames in FRAMES.items():
        for frame, instances in frames.items():
            write_annotation(root, clip, frame, instances, **SIZE)


def save_maps(model: Path, clip: str, maps: np.ndarray) -> None:
    """``heatmap/<clip>.npy``."""
    (model / "heatmap").mkdir(parents=True, exist_ok=True)
    np.save(model / "heatmap" / f"{clip}.npy", maps)


def exact_maps(rng: np.random.Generator, count: int, levels: int = 64) -> np.ndarray:
    """Maps of 45 x 80 cells, whose interpolation to 360 x 640 pixels and eighths in time is exact in float32."""
    return rng.integers(-levels, levels, (count, 45, 80)).astype(np.float32) / 32


def score(root: Path, model: Path, *options: object) -> tuple[Outcome, dict[str, Any]]:
    """Runs the command with the protocol of the data set."""
    out = root / "out" / "results.json"
    words = ("--dataset", "avatar", "--annotations", root, "--predictions", model, "--out", out, "--overwrite", "true")
    outcome = tavlo("score", *words, *options)
    return outcome, json.loads(out.read_text()) if outcome.code == 0 else {}


def check(root: Path, model: Path, missing: str = "error") -> dict[str, Any]:
    """Compares all results with the reference."""
    outcome, results = score(root, model, "--missing", missing)
    assert outcome.code == 0, outcome.err
    assert results["protocol"] == "avatar"
    expected = reference.evaluate(root, model, missing)
    thresholds = json.loads((root / "out" / "heatmap_threshold.json").read_text())
    assert thresholds == pytest.approx(expected["thresholds"], abs=1e-9)
    frames = json.loads((root / "out" / "evaluation_results.json").read_text())
    assert frames.keys() == expected["frames"].keys()
    for name, entry in expected["frames"].items():
        assert frames[name].keys() == entry.keys()
        assert frames[name]["ciou"] == (None if entry["ciou"] is None else pytest.approx(entry["ciou"], abs=1e-9)), name
        assert {k: v for k, v in frames[name].items() if k != "ciou"} == {
            k: v for k, v in entry.items() if k != "ciou"
        }, name
    groups = {"Total": "all", "Single-Sound": "single_sound", "Mixed-Sound": "mixed_sound"}
    for task, values in expected["ciou"].items():
        found = results["scenarios"][groups.get(task, "multi_entity")]
        assert found["ciou_mean"]["value"] == pytest.approx(np.mean(values), abs=1e-9), task
        assert found["ciou_auc"]["value"] == pytest.approx(reference.auc(values), abs=1e-9), task
    tn_rate = results["scenarios"]["off_screen"]["tn_rate"]["value"]
    assert tn_rate == pytest.approx(expected["tn"] / (expected["tn"] + expected["fp"]), abs=1e-9)
    return results


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("levels", [64, 2])  # with 2, most values tie at the threshold
def test_score_equals_the_reference(tmp_path: Path, dtype: Any, levels: int) -> None:
    write_tree(tmp_path)
    rng, model = np.random.default_rng(levels), tmp_path / "results" / "ours"
    for clip, count in zip(CLIPS, (3, 4, 5), strict=True):
        maps = exact_maps(rng, count, levels).astype(dtype)
        save_maps(model, clip, maps[:, None] if clip == CLIPS[1] else maps)
    results = check(tmp_path, model)
    assert results["n"] == 7
    assert results["scenarios"]["mixed_sound"]["samples"] == results["scenarios"]["multi_entity"]["samples"] == 2
    assert results["scenarios"]["all"]["samples"] == 5 and results["scenarios"]["off_screen"]["samples"] == 3


def test_score_equals_the_reference_for_constant_full_size_maps(tmp_path: Path) -> None:
    write_tree(tmp_path)
    model = tmp_path / "ours"
    for clip, value in zip(CLIPS, (-0.5, 0.25, 0.25), strict=True):
        save_maps(model, clip, np.full((4, 360, 640), value))
    check(tmp_path, model)


@pytest.mark.parametrize("missing", ["skip", "zero"])
def test_score_equals_the_reference_with_missing_maps(tmp_path: Path, missing: str) -> None:
    write_tree(tmp_path)
    for clip in CLIPS[:2]:
        save_maps(tmp_path / "ours", clip, exact_maps(np.random.default_rng(0), 4))
    check(tmp_path, tmp_path / "ours", missing)
    outcome, _ = score(tmp_path, tmp_path / "ours")
    assert outcome.code == 2
    assert f"no heatmap for 2 of 7 samples ({CLIPS[2]}/00007.npy" in outcome.err


@pytest.mark.parametrize("rate", [25, 30000 / 1001])
def test_score_in_time_follows_a_moving_peak(tmp_path: Path, rate: float) -> None:
    source = instance("Single-Sound", segmentation=[box(240, 0, 80, 360)])  # the fourth of eight cells
    write_annotation(tmp_path, CLIPS[0], "00012", [source], **SIZE)
    peak = np.array([0, 2, 4])[:, None, None]  # the cell of the peak in the frames 0, 8 and 16
    maps = -((np.arange(8, dtype=np.float32) - peak) ** 2)
    save_maps(tmp_path / "ours", CLIPS[0], maps)
    linear, nearest = (
        score(tmp_path, tmp_path / "ours", "--time", time, "--frame_rate", rate)[1] for time in ("linear", "nearest")
    )
    assert (linear["protocol"], nearest["protocol"]) == ("avatar", "avatar, modified (time)")
    assert [found["scenarios"]["all"]["pointing"]["value"] for found in (linear, nearest)] == [1.0, 0.0]
    rows = (tmp_path / "out" / "per_sample.csv").read_text().splitlines()
    assert f",{12 / rate}," in rows[1]
    by_file = {"heatmap": maps, "frame_time_s": np.array([0, 8, 16]) / rate}
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / f"{CLIPS[0]}.npz", **by_file)
    outcome, found = score(tmp_path, tmp_path / "npz", "--frame_rate", rate)
    assert outcome.code == 0, outcome.err
    for name in ("ciou_mean", "pointing"):
        assert found["scenarios"]["all"][name] == pytest.approx(linear["scenarios"]["all"][name], abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: np.save(path, np.zeros((3, 2, 4, 5), np.float32)), r"found float32\[3, 2, 4, 5\]"),
        (lambda path: np.save(path, np.zeros((4, 5), np.float32)), r"needs maps \(T, h, w\) or \(T, 1, h, w\)"),
        (lambda path: np.save(path, np.zeros((3, 4, 5), np.int32)), "of type float16, float32 or float64"),
        (lambda path: np.save(path, np.zeros((1, 4, 5))), "1 maps, one every 8 frames, end before"),
        (lambda path: np.save(path, np.array([{}], object), allow_pickle=True), "no array of numbers"),
        (lambda path: np.save(path, np.full((3, 4, 5), np.nan)), "map 0 of heatmap holds NaN or infinity"),
        (lambda path: path.write_bytes(b"\x93NUMPY"), "no array of numbers"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "no array of numbers"),
        (lambda path: np.save(path, np.zeros((3, 6, 5))), "write all in one size"),
    ],
)
def test_score_refuses_bad_maps_in_one_sentence(tmp_path: Path, spoil: Any, message: str) -> None:
    write_tree(tmp_path)
    for clip in CLIPS:
        save_maps(tmp_path / "ours", clip, np.zeros((5, 4, 5)))
    spoil(tmp_path / "ours" / "heatmap" / f"{CLIPS[0]}.npy")
    outcome, _ = score(tmp_path, tmp_path / "ours")
    assert outcome.code == 2
    assert CLIPS[0] in outcome.err and "Traceback" not in outcome.err
    assert re.search(message, outcome.err), outcome.err


def test_score_refuses_unknown_tasks_and_empty_folders(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / "ours" / "heatmap").mkdir(parents=True)
    outcome, _ = score(tmp_path, tmp_path / "ours")
    assert outcome.code == 2 and "no heatmaps there" in outcome.err
    for clip in CLIPS:
        save_maps(tmp_path / "ours", clip, np.zeros((5, 4, 5)))
    write_annotation(tmp_path, CLIPS[0], "00030", [instance("Double-Sound", segmentation=[box(0, 0, 8, 8)])], **SIZE)
    outcome, _ = score(tmp_path, tmp_path / "ours")
    assert outcome.code == 2 and "'Double-Sound'" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocol", "avatars"), "--protocol avatars: no such protocol; known are avatar,"),
        (("--size", "360"), [360, 360]),
        (("--size", "original"), [360, 640]),
        (("--size", "360x640x3"), "--size 360x640x3 must be HEIGHTxWIDTH"),
        (("--size", "0x640"), "--size 0x640 must be HEIGHTxWIDTH"),
        (("--rule", "best"), "Unknown threshold rule 'best'"),
        (("--mixed_frames", "none"), "mixed_frames"),
    ],
)
def test_score_checks_the_options_of_a_protocol(tmp_path: Path, options: tuple[str, ...], message: Any) -> None:
    write_tree(tmp_path)
    for clip in CLIPS:
        save_maps(tmp_path / "ours", clip, np.zeros((5, 4, 5)))
    outcome, results = score(tmp_path, tmp_path / "ours", *options)
    if isinstance(message, list):
        assert results["metrics"]["size"] == message
        assert results["protocol"] == ("avatar" if message == [360, 640] else "avatar, modified (size)")
    else:
        assert outcome.code == 2 and message in outcome.err, outcome.err


def test_score_counts_mixed_frames_as_asked(tmp_path: Path) -> None:
    write_tree(tmp_path)
    for clip in CLIPS:
        save_maps(tmp_path / "ours", clip, exact_maps(np.random.default_rng(1), 5))
    counts = {}
    for choice in ("both", "on_screen", "off_screen"):
        _, results = score(tmp_path, tmp_path / "ours", "--mixed_frames", choice)
        counts[choice] = results["scenarios"]["all"]["samples"], results["scenarios"]["off_screen"]["samples"]
    assert counts == {"both": (5, 3), "on_screen": (5, 2), "off_screen": (4, 3)}
