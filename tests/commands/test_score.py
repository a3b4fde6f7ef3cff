"""``tavlo score``: values, and how maps are matched with annotations."""

import json
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl import __version__
from tests.helpers import reference
from tests.helpers.clips import write_numbered
from tests.helpers.score import DOG, FRAME_RATE, SIZE, TIMES_S, TREE, run, save, write_tree, write_vggss
from tests.helpers.trees import instance, write_annotation
from tests.metrics import vggss


@pytest.mark.parametrize(
    ("protocol", "golden"),
    [("vggss_ezvsl", "rule_half"), ("vggss_sslalign", "rule_adaptive"), ("slavc", "slavc")],
)
def test_score_agrees_with_the_evaluators_of_the_peers(tmp_path: Path, protocol: str, golden: str) -> None:
    expected = vggss.expected()
    boxes = dict(vggss.golden_boxes())
    maps = vggss.maps().numpy()
    if golden == "slavc":  # on another scale, and every fourth sample without a source
        maps = (maps + 1) / 2
        for file, sample in zip(boxes, expected["slavc"]["samples"], strict=True):
            boxes[file] = boxes[file] if sample["boxes"] else []
    for file, scores in zip(boxes, maps, strict=True):
        save(tmp_path, file, heatmap=scores[None])
    annotations = write_vggss(tmp_path, boxes)
    outcome, results, rows = run(tmp_path, "vggss", annotations, "--protocol", protocol)
    assert outcome.code == 0, outcome.err
    found = {row["sample_id"]: row["ciou"] for row in rows}
    assert len(found) == results["n"] == 200
    figures = results["scenarios"]["all"]
    if golden == "slavc":
        samples = dict(zip(boxes, expected["slavc"]["samples"], strict=True))
        assert all(found[file] == "" for file, sample in samples.items() if not sample["boxes"])
        assert all(abs(float(found[file]) - s["ciou"]) < 1e-6 for file, s in samples.items() if s["boxes"])
        assert figures["ap"]["value"] == pytest.approx(expected["slavc"]["ap_at_50"], abs=1e-9)
        assert figures["max_f1"]["value"] == pytest.approx(expected["slavc"]["max_f1"], abs=1e-9)
        assert figures["loc_acc"]["value"] == expected["slavc"]["precision_visible"]
    else:
        values = dict(zip(boxes, expected[golden]["ciou"], strict=True))
        assert all(abs(float(found[file]) - value) < 1e-6 for file, value in values.items())
        assert figures["ciou_at_50"]["value"] == expected[golden]["ciou_at_50"]
        assert figures["ciou_at_50"]["low"] < figures["ciou_at_50"]["value"] < figures["ciou_at_50"]["high"]
    if golden == "rule_half":
        assert figures["ciou_auc"]["value"] == expected[golden]["auc"]


@pytest.mark.slow
def test_score_baselines_are_the_known_ones_on_vggss(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, vggss.all_boxes())
    for file in vggss.all_boxes():
        save(tmp_path, file, heatmap=np.zeros((1, 7, 7), np.float32))
    _, results, _ = run(tmp_path, "vggss", annotations)
    rows = {"ceiling": results["ceiling"], **results["baselines"]}
    known = {"ceiling": (50.54, 49.47), "centred_disk": (34.02, 37.44), "whole_image": (21.95, 31.25)}
    for row, percent in known.items():
        found = [100 * rows[row]["all"][name]["value"] for name in ("ciou_at_50", "ciou_auc")]
        assert found == pytest.approx(percent, abs=0.006)


def expected_samples(maps: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(pixels, truth) of each sample, by the slow reference."""
    expected = {}
    for clip, frames in TREE.items():
        for frame, instances in frames.items():
            place = int(np.abs(TIMES_S - int(frame) / FRAME_RATE).argmin())
            pixels = reference.upsampled(maps[clip][place].astype(float), SIZE)
            for task in {item["task"] for item in instances}:
                name = task.lower().replace("-", "_").replace(" ", "_")
                shown = [item["segmentation"] for item in instances if item["task"] == task and "ff" not in task]
                truth = reference.mask_of([polygon for polygons in shown for polygon in polygons], SIZE, 96, 64)
                expected[f"{clip}/{frame}/{name}"] = pixels, truth
    return expected


@pytest.mark.parametrize("rule", ["top_half", "top_tenth", "fixed:0.2", "universal:0.8", "universal:0.9"])
def test_score_of_an_avatar_tree_is_that_of_the_reference(tmp_path: Path, rule: str) -> None:
    expected = expected_samples(write_tree(tmp_path))
    options = ["--protocol", "avatar_per_frame", "--rule", rule, "--size", SIZE, "--frame_rate", FRAME_RATE]
    outcome, results, rows = run(tmp_path, "avatar", tmp_path / "metadata", *options)
    assert outcome.code == 0, outcome.err
    assert {row["sample_id"] for row in rows} == set(expected)
    seen = {name: found for name, found in expected.items() if not name.endswith("off_screen")}
    pool = np.concatenate([pixels.ravel() for pixels, _ in seen.values()])
    kind, _, value = rule.partition(":")
    found = {row["sample_id"]: row for row in rows}
    for name, (pixels, truth) in seen.items():
        threshold = {
            "top_half": lambda pixels=pixels: reference.rank(pixels, 0.5),
            "top_tenth": lambda pixels=pixels: reference.rank(pixels, 0.9),
            "fixed": lambda: float(value),
            "universal": lambda: reference.rank(pool, float(value)),
        }[kind]()
        assert float(found[name]["ciou"]) == pytest.approx(reference.ciou(pixels, truth, threshold), abs=1e-6), name
        assert float(found[name]["model/pointing"]) == truth[pixels >= pixels.max() - 1e-9].mean()
        assert float(found[name]["area"]) == truth.mean()
    silent = [pixels for name, (pixels, _) in expected.items() if name.endswith("off_screen")]
    dark = [(pixels < reference.rank(pool, 0.9) - 1e-9).mean() for pixels in silent]
    assert len(dark) == results["scenarios"]["off_screen"]["samples"] == 3
    assert results["scenarios"]["off_screen"]["tn_rate"]["value"] == pytest.approx(np.mean(dark), abs=1e-9)
    values = [float(found[name]["ciou"]) for name in seen]
    assert results["scenarios"]["all"]["ciou_mean"]["value"] == pytest.approx(np.mean(values), abs=1e-12)
    assert all(row["ciou"] == "" for row in rows if row["scenario"] == "off_screen")
    assert list(results["scenarios"]) == [
        "all",
        *("single_sound", "mixed_sound", "multi_entity", "cross_event", "off_screen"),
    ]


def test_score_matches_maps_by_number_time_rate_or_video(tmp_path: Path) -> None:
    clip = "l_7B1wnTNtA_00020"
    for frame in ("00010", "00035"):
        write_annotation(tmp_path, clip, frame, [instance(segmentation=[DOG])])
    maps = np.random.default_rng(1).uniform(-1, 1, (3, 4, 5)).astype(np.float32)

    per_frame = ("--protocol", "avatar_per_frame")

    def scores() -> list[str]:
        outcome, _, rows = run(tmp_path, "avatar", tmp_path, *per_frame)
        assert outcome.code == 0, outcome.err
        return [row["ciou"] for row in rows]

    save(tmp_path, clip, heatmap=maps, frame_number=[35, 9, 10])
    by_number = scores()
    save(tmp_path, clip, heatmap=maps[[2, 1, 0]], frame_time_s=[0.3, 0.8, 1.3], frame_rate=25.0)
    assert scores() == by_number
    save(tmp_path, clip, heatmap_0001=maps[[0]], heatmap_0000=maps[[2, 1]], frame_number=[10, 9, 35])
    assert scores() == by_number
    save(tmp_path, clip, heatmap=maps[[2, 1, 0]], frame_time_s=[0.3, 0.8, 1.3])
    outcome, _, _ = run(tmp_path, "avatar", tmp_path, *per_frame)
    assert outcome.code == 2
    assert f"{clip}.npz: 3 maps with times, but frame 00010 has a number and no time; give --frame_rate" in outcome.err
    (tmp_path / "video").mkdir()
    write_numbered(tmp_path / "video" / f"{clip}.mp4", rate=25)
    assert scores() == by_number
    other = "zzz__zzz-zz_00100"  # a second video, so that none stays open by chance
    write_annotation(tmp_path, other, "00035", [instance(segmentation=[DOG])])
    save(tmp_path, other, heatmap=maps, frame_time_s=[0.3, 0.8, 1.3])
    write_numbered(tmp_path / "video" / f"{other}.mp4", rate=25)
    outcome, _, rows = run(tmp_path, "avatar", tmp_path, *per_frame)
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0.4, 1.4, 1.4])
    for path in (tmp_path / "metadata" / other / "00035.json", tmp_path / "maps" / f"{other}.npz"):
        path.unlink()
    (tmp_path / "metadata" / other).rmdir()
    outcome, _, _ = run(tmp_path, "avatar", tmp_path, *per_frame, "--frame_rate", 2)
    assert "frame 00010 is at 5.00 s and no map is near (0.30 to 1.30 s)" in outcome.err
    for name, chosen in ((clip, 1), (f"{clip}/00010", 2), (f"{clip}/00035/single_sound", 0)):
        save(tmp_path, name, heatmap=maps[chosen])  # the most specific file counts
    assert scores() == by_number


def test_score_takes_the_middle_map_for_vggss(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {"a": [[0.0, 0.0, 0.5, 1.0]]})
    maps = np.zeros((3, 2, 2))
    maps[1, :, 0] = 1
    save(tmp_path, "a", heatmap=maps, frame_time_s=[1.0, 5.0, 9.0])
    assert run(tmp_path, "vggss", annotations)[2][0]["ciou"] == "1.0"


def test_score_reports_pia_of_mismatched_audio(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {name: [[0.0, 0.0, 0.5, 0.5]] for name in "ab"})
    rng = np.random.default_rng(0)
    for name in "ab":
        maps = rng.uniform(size=(1, 4, 4))
        save(tmp_path, name, heatmap=maps)
        for folder, factor in (("silence", 0.0), ("noise", 0.9), ("mismatched", 1.0)):
            save(tmp_path / folder, name, heatmap=factor * maps)
    wrong = [word for sound in ("silence", "noise", "mismatched") for word in (f"--{sound}", tmp_path / sound / "maps")]
    outcome, results, rows = run(tmp_path, "vggss", annotations, *wrong)
    assert outcome.code == 0, outcome.err
    figures = results["scenarios"]["all"]
    assert figures["pia_silence"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert 0 < figures["pia_white_noise"]["value"] < figures["pia_mismatched_audio"]["value"]
    assert figures["pia_mismatched_audio"]["value"] == pytest.approx(0.1, abs=1e-4), "by the threshold's definition"
    assert rows[0]["mismatched_audio/top_half"] == rows[0]["model/top_half"]
    assert "pia, white_noise" in outcome.out
    (tmp_path / "noise" / "maps" / "b.npz").unlink()
    outcome, _, _ = run(tmp_path, "vggss", annotations, *wrong)
    assert outcome.code == 2 and f"{tmp_path / 'noise' / 'maps'}: no heatmap for 1 of 2" in outcome.err
    (tmp_path / "silence" / "maps" / "a.npz").unlink()
    outcome, _, _ = run(tmp_path, "vggss", annotations, *wrong, "--missing", "skip")
    assert outcome.code == 2 and "no sample has a heatmap in every folder" in outcome.err


def test_score_of_is3_avsbench_and_flickr(tmp_path: Path) -> None:
    entries = [
        {"image": f"{name}.jpg", "gt_box": box}
        for name, box in (("cat_dog_1_cat", [0, 0, 112, 224]), ("cat_dog_1_dog", [112, 0, 224, 224]))
    ]
    (tmp_path / "is3.json").write_text(json.dumps(entries))
    left, right = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 1.0]]])
    save(tmp_path, "cat_dog_1_cat", heatmap=left)
    save(tmp_path, "cat_dog_1_dog", heatmap=left)
    _, results, _ = run(tmp_path, "is3", tmp_path / "is3.json")
    figures = results["scenarios"]["all"]
    assert (figures["ciou_at_50"]["value"], figures["iiou"]["value"], figures["clips"]) == (0.5, 0.0, 1)
    save(tmp_path, "cat_dog_1_dog", heatmap=right)
    _, results, _ = run(tmp_path, "is3", tmp_path / "is3.json")
    assert results["scenarios"]["all"]["iiou"]["value"] == 1.0

    frames = [{"image": f"v_{second}.png", "gt_box": [0, 0, 112 * (second != 2), 224]} for second in (1, 2)]
    frames[1]["gt_box"] = [0, 0, 0, 0]
    (tmp_path / "s4.json").write_text(json.dumps(frames))
    save(tmp_path, "v", heatmap=np.concatenate([left * 9 - 4.5, right * 9 - 4.5]), frame_time_s=[1.0, 2.0])
    _, results, rows = run(tmp_path, "avsbench", tmp_path / "s4.json")
    assert [row["clip"] for row in rows] == ["v", "v"]
    assert results["scenarios"]["all"]["miou"]["value"] == pytest.approx(0.75, abs=0.02)
    assert results["scenarios"]["all"]["f_score"]["value"] == pytest.approx(1.0, abs=0.02)

    (tmp_path / "xml").mkdir()
    box = "<bbox><name>a</name><xmin>0</xmin><ymin>0</ymin><xmax>128</xmax><ymax>256</ymax></bbox>"
    (tmp_path / "xml" / "7.xml").write_text(f"<r><o>{box}</o></r>")
    save(tmp_path, "7", heatmap=left)
    _, results, rows = run(tmp_path, "flickr", tmp_path / "xml")
    assert (rows[0]["sample_id"], float(rows[0]["ciou"])) == ("7", 1.0)


def test_score_results_state_their_options_and_origin(tmp_path: Path) -> None:
    annotations = write_vggss(tmp_path, {name: [[0.0, 0.0, 0.5, 0.5]] for name in "ab"})
    for name in "ab":
        save(tmp_path, name, heatmap=np.eye(4)[None])
    outcome, results, _ = run(tmp_path, "vggss", annotations)
    said = [results[name] for name in ("dataset", "protocol", "n", "version")]
    assert said == ["vggss", "vggss_ezvsl", 2, __version__]
    assert results["metrics"]["protocol"]["interpolation"] == "bilinear_corners"
    assert set(results["baselines"]) == {"whole_image", "centred_disk", "random"}
    assert "All samples, in %, protocol vggss_ezvsl" in outcome.out
    assert "ceiling" in outcome.out
    first = results["fingerprint"]
    assert run(tmp_path, "vggss", annotations)[1]["fingerprint"] == first
    save(tmp_path, "b", heatmap=2 * np.eye(4)[None])
    other = run(tmp_path, "vggss", annotations)[1]["fingerprint"]
    assert other["annotations"] == first["annotations"]
    assert other["predictions"] != first["predictions"]
