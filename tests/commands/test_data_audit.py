"""``tavlo data audit``: what it prints, what it writes, what it refuses."""

import json
from pathlib import Path
from typing import Any

from tavlo_pl.data.clip_ids import read_ids
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.shared import shared_file
from tests.helpers.trees import instance, write_avatar, write_images, write_vggsound

A, B, C = "aaaaaaaaaaa", "b-_b1bbbbb_", "ccccccccccc"


def audit(out: Path, *words: object) -> tuple[Outcome, dict[str, Any]]:
    outcome = tavlo("data", "audit", "--out", out, *words)
    assert outcome.code == 0, outcome.err
    return outcome, json.loads((out / "audit.json").read_text())


def row(text: str, name: str) -> list[str]:
    """The cells of a table's row."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name}  "))
    return line.removeprefix(name).split()


def test_audit_counts_the_leak_and_writes_a_clean_list(tmp_path: Path) -> None:
    lists = ["--train", shared_file("data", "vggss_10k.txt"), "--test", shared_file("data", "vggss.json")]
    outcome, found = audit(tmp_path / "out", *lists)
    assert (found["overlap_exact"], found["overlap_youtube"], found["overlap_start_unknown"]) == (238, 252, 0)
    assert row(outcome.out, "the same clip")[:2] == ["238", "4.6%"]
    assert row(outcome.out, "the same YouTube video")[:2] == ["252", "4.9%"]
    assert row(outcome.out, "clips") == ["10,000", "5,158"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.json", "train_without_overlap.txt"]
    _, again = audit(tmp_path / "again", "--train", tmp_path / "out" / "train_without_overlap.txt", *lists[2:])
    assert again["overlap_youtube"] == 0
    assert again["train"]["clips"] == 9760
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["audit.json"]


def test_lists_files_and_frame_numbers_of_two_trees(tmp_path: Path) -> None:
    train, test = tmp_path / "train", tmp_path / "test"
    write_vggsound(train, [f"{A}_000020", f"{A}_000021", f"{B}_000001"], seconds=1.0)
    (train / f"{A}_000021.mp4").write_bytes(b"")
    frames = {f"{n:05d}": [instance()] for n in (1, 5, 6)}
    write_avatar(test, {f"{A}_00020": frames, f"{C}_00007": frames}, seconds=1.0, click_s=())
    write_images(test, f"{A}_00020", {"00001": 0, "00005": 4, "00006": 5})
    write_images(test, f"{C}_00007", {"00001": 0})
    outcome, found = audit(tmp_path / "out", "--train", train, "--test", test, "--duration_s", 1)
    assert (found["overlap_exact"], found["overlap_youtube"]) == (1, 1)
    assert found["overlap"]["exact"] == [f"{A}_00020"]
    assert list(found["train"]["unreadable"]) == [f"{A}_000021"]
    assert found["train"]["frames"] is None
    assert found["test"]["frames"]["frame_base"] == 1
    assert found["test"]["frames"]["against"] == {}
    assert found["test"]["wrong_duration"] == {}
    assert row(outcome.out, "unreadable files") == ["1", "0"]
    assert row(outcome.out, "frame n-1") == ["4"]
    assert row(outcome.out, "not there") == ["2"]
    assert "test: frame_base 1 fits: frames are counted from 1." in outcome.out
    assert "5/5" in outcome.err, "the progress bar"
    clean = tmp_path / "out" / "train_without_overlap.txt"
    assert read_ids(clean) == {(B, 1)}


def test_frames_that_disagree_are_named(tmp_path: Path) -> None:
    numbers = range(1, 22)
    clip = f"{A}_00020"
    write_avatar(tmp_path, {clip: {f"{n:05d}": [instance()] for n in numbers}}, seconds=1.0, click_s=())
    write_images(tmp_path, clip, {f"{n:05d}": n + (n == 9) for n in numbers})
    outcome, found = audit(tmp_path / "out", "--train", tmp_path, "--test", tmp_path)
    assert found["test"]["frames"]["frame_base"] == 0
    assert found["test"]["frames"]["against"] == {f"{clip}/00009": "n+1"}
    assert f"test: not so in 1 frames: {clip}/00009" in outcome.out
    assert list(found["test"]["wrong_duration"]) == [clip]


def test_an_id_without_a_start_is_perhaps_the_same_clip(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(f"{A}\n{B}_1\n")
    (tmp_path / "test.txt").write_text(f"{A}_20\n")
    outcome, found = audit(tmp_path, "--train", tmp_path / "train.txt", "--test", tmp_path / "test.txt")
    assert [found[f"overlap_{kind}"] for kind in ("exact", "youtube", "start_unknown")] == [0, 1, 1]
    assert row(outcome.out, "perhaps the same clip: a list without starts") == ["1", "100.0%", f"{A}_20"]
    assert row(outcome.out, "missing files") == ["–", "–"]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{A}\n")
    lists = ["data", "audit", "--train", tmp_path / "list.txt", "--out", tmp_path / "out"]
    for words, told in (
        ([*lists, "--test", tmp_path / "gone"], "--test "),
        ([*lists, "--test", tmp_path / "list.txt", "--duration_s", "0"], "--duration_s 0"),
        ([*lists, "--test", tmp_path / "list.txt", "--test_videos", tmp_path / "gone"], "no such folder"),
        (lists, "test"),
    ):
        outcome = tavlo(*words)
        assert outcome.code == 2
        assert told in outcome.err
        assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_list_with_a_byte_order_mark_has_the_same_leak(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text(f"{A}\n")
    (tmp_path / "marked.txt").write_text(f"{A}\n", "utf-8-sig")
    (tmp_path / "test.txt").write_text(f"{A}_000001\n{B}_000002\n", "utf-8-sig")
    for name in ("plain", "marked"):
        words = ["--train", tmp_path / f"{name}.txt", "--test", tmp_path / "test.txt"]
        outcome, found = audit(tmp_path / name, *words)
        assert found["overlap"]["youtube"] == [f"{A}_000001"]
        assert row(outcome.out, "the same YouTube video")[:2] == ["1", "50.0%"]
