"""``tavlo data index``: a row and a reason for whatever lies in folders and archives, and no work done twice."""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tavlo_pl import env
from tavlo_pl.data.index import probe
from tavlo_pl.io.locking import exclusive_folder
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.clips import write_numbered

FILTER = ["--duration_s", 2, "--min_frames", 50, "--max_frames", 50, "--width", 96, "--height", 64, "--jobs", 1]
A, B, C = "aaaaaaaaaaa", "-_bbbbbbbb_", "ünï 猫cccc"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of 2 s and 50 frames."""
    return write_numbered(tmp_path_factory.mktemp("good") / "good.mp4").path.read_bytes()


def index(out: Path, root: object, *words: object) -> tuple[Outcome, dict[str, dict[str, Any]]]:
    """Makes an index, and reads its rows by file name or member."""
    outcome = tavlo("data", "index", "--root", root, "--out", out, *FILTER, *words)
    assert outcome.code == 0, outcome.err
    rows = pq.read_table(out).to_pylist()
    return outcome, {row["member"] or Path(row["path"]).name: row for row in rows}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_table(path: Path, *rows: tuple[str, int, str, str]) -> Path:
    path.write_text("".join(f'{name},{start},"{label}",{split}\n' for name, start, label, split in rows))
    return path


def reasons(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: row["reason"] for name, row in rows.items()}


def test_whatever_lies_there_is_a_row_with_a_reason(good: bytes, tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "clips",
        {
            f"{A}_000001.mp4": good,
            f"{B}_000002.mp4": good,
            f"{C}_000003.mp4": good,
            "content_decides.txt": good,
            "named_mkv.mkv": good,
            "page.mp4": b"<html>gone</html>",
            "empty.mp4": b"",
            "cut.mp4": good[: len(good) // 2],
            "without_index.mp4": good[:40],
            "notes.txt": b"no video, and no row",
            ".hidden.mp4": good,
        },
    )
    (root / "below").mkdir()
    (root / "below" / "loop").symlink_to(root)
    (root / "below" / "gone.mp4").symlink_to(root / "nothing")
    os.mkfifo(root / "pipe.mp4")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.mp4")).write_bytes(good)
    two_s = np.arange(50) / 25
    for name, fields in {
        "silent": {"audio": False},
        "sound_alone": {"video": False},
        "short_sound": {"seconds": 1.0, "times_s": two_s},
        "two_frames": {"times_s": [0.0, 0.04]},
        "slow": {"rate": 10},
        "small": {"size": (48, 96)},
        "short": {"seconds": 1.0},
    }.items():
        write_numbered(root / f"{name}.mp4", **fields)
    write_numbered(root / "variable.mkv", times_s=two_s)
    at = good.index(b"stts") + 16  # after it, the time from one frame to the next
    write_files(root, {"no_rate.mp4": good[:at] + bytes(4) + good[at + 4 :]})
    outcome, rows = index(tmp_path / "index.parquet", root)
    assert reasons(rows) == {
        f"{A}_000001.mp4": "",
        f"{B}_000002.mp4": "",
        f"{C}_000003.mp4": "",
        "content_decides.txt": "",
        "named_mkv.mkv": "",
        "variable.mkv": "",
        "page.mp4": "no media: not a media file but an HTML page; fetch it again",
        "empty.mp4": "empty: the file is empty; fetch it again or leave it out",
        "cut.mp4": rows["cut.mp4"]["reason"],
        "without_index.mp4": rows["without_index.mp4"]["reason"],
        r"\udcff.mp4": rows[r"\udcff.mp4"]["reason"],
        "silent.mp4": "no sound: no audio stream",
        "sound_alone.mp4": "no video: no video stream; leave the file out or use one with video",
        "short_sound.mp4": rows["short_sound.mp4"]["reason"],
        "two_frames.mp4": "duration: the video stream has 0.08 s, not 2 s",
        "no_rate.mp4": rows["no_rate.mp4"]["reason"],
        "slow.mp4": "frames: 20, not 50 to 50",
        "small.mp4": "size: 96×48, not 96×64",
        "short.mp4": "duration: the video stream has 1.00 s, not 2 s",
    }
    assert rows["no_rate.mp4"]["reason"].startswith("duration: the video stream has ")
    for name in ("cut.mp4", "without_index.mp4"):
        assert rows[name]["reason"].startswith("damaged: truncated")
    assert rows[r"\udcff.mp4"]["reason"].startswith("bad name: ")
    assert rows["short_sound.mp4"]["reason"].startswith("sound ends early: at 1.0")
    facts = rows[f"{A}_000001.mp4"]
    assert (facts["width"], facts["height"], facts["frame_rate"], facts["frame_count"]) == (96, 64, 25, 50)
    assert facts["video_s"] == pytest.approx(2.0)
    assert facts["audio_s"] == pytest.approx(2.0, abs=0.05)
    assert facts["video_bytes"] == len(good)
    assert (facts["sample_id"], facts["member"]) == (f"{A}_000001", None)
    assert "19 videos: 6 clips, 13 left out" in outcome.out
    assert re.search(r"^damaged +2 ", outcome.out, re.MULTILINE)
    assert "19/19" in outcome.err, "the progress bar"


def test_labels_what_is_held_out_and_repeats(good: bytes, tmp_path: Path) -> None:
    names = [f"{A}_000001", f"{A}_000002", f"{B}_000007", "ccccccccccc_000001", "ddddddddddd_000001"]
    root = write_files(tmp_path / "clips", {f"{name}.mp4": good for name in names})
    write_files(root / "again", {f"{names[2]}.mp4": good})
    table = write_table(
        tmp_path / "vggsound.csv",
        *((name[:11], int(name[12:]), "bird chirping, tweeting", "train") for name in names[:3]),
        ("ccccccccccc", 1, "dog", "test"),
        ("eeeeeeeeeee", 5, "dog", "train"),
    )
    (tmp_path / "avatar.txt").write_text(f"{A}_00002\n")
    (tmp_path / "other.txt").write_text("eeeeeeeeeee\n")
    held_out = f"[{tmp_path / 'avatar.txt'}, {tmp_path / 'other.txt'}]"
    outcome, rows = index(tmp_path / "index.parquet", root, "--csv", table, "--held_out", held_out)
    told = f"held out: a clip of {tmp_path / 'avatar.txt'} is cut from the same video"
    found = reasons(rows)
    assert (found[f"{names[0]}.mp4"], found[f"{names[1]}.mp4"]) == (told, told), "every clip of the video"
    assert found[f"{names[3]}.mp4"] == ""
    assert found[f"{names[4]}.mp4"] == "unlisted: not in the table of labels"
    table_rows = pq.read_table(tmp_path / "index.parquet").to_pylist()
    twice = {row["path"]: row["reason"] for row in table_rows if row["sample_id"] == names[2]}
    first = str(root / f"{names[2]}.mp4")
    assert twice == {first: "", str(root / "again" / f"{names[2]}.mp4"): f"repeated: the clip is at {first} too"}
    assert (rows[f"{names[3]}.mp4"]["label"], rows[f"{names[3]}.mp4"]["split"]) == ("dog", "test")
    assert "1 of 5 clips of the table of labels have no file." in outcome.out
    assert "2 clips of 2 categories" in outcome.out
    (row,) = (line.split("  ") for line in outcome.out.splitlines() if line.startswith("bird chirping, tweeting"))
    assert [word.strip() for word in row if word] == ["bird chirping, tweeting", "1", "0"]


def test_a_selection_by_list_or_by_draw(good: bytes, tmp_path: Path) -> None:
    names = [f"{n:011d}_000001" for n in range(12)]
    root = write_files(tmp_path / "clips", {f"{name}.mp4": good for name in names})
    (tmp_path / "ids.txt").write_text(f"{names[3]}\n{names[5][:11]}\n")
    out = tmp_path / "index.parquet"
    _, rows = index(out, root, "--ids", tmp_path / "ids.txt")
    assert [name for name, reason in reasons(rows).items() if not reason] == [f"{names[3]}.mp4", f"{names[5]}.mp4"]
    draws = [
        [name for name, reason in reasons(index(out, root, "--draw", 5, "--seed", seed)[1]).items() if not reason]
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) == len(draws[2]) == 5
    (root / draws[0][0]).unlink()
    drawn = [name for name, reason in reasons(index(out, root, "--draw", 5)[1]).items() if not reason]
    assert len(drawn) == 5
    assert set(draws[0][1:]) < set(drawn), "a clip that is gone moves one other only"


def test_archives_are_read_and_a_cut_one_is_told(good: bytes, tmp_path: Path) -> None:
    root = write_files(tmp_path / "clips", {"loose.mp4": good})
    files = write_files(tmp_path / "files", {f"{name}.mp4": good for name in "abc"} | {"d.mp4": b""})
    for path, mode in ((root / "part0.tar", "w"), (root / "part1.tar.gz", "w:gz")):
        with tarfile.open(path, mode) as tar:
            tar.add(files, "part")
    _, rows = index(tmp_path / "index.parquet", root)
    assert {name: row["reason"].partition(":")[0] for name, row in rows.items() if "part" in row["path"]} == {
        **{f"part/{name}.mp4": "repeated" for name in "abc"},
        "part/d.mp4": "empty",
    }, "those of the second archive"
    assert rows["part/a.mp4"]["video_bytes"] == len(good)
    whole = (root / "part0.tar").read_bytes()
    (root / "part0.tar").write_bytes(whole[: len(whole) // 2])
    (root / "part1.tar.gz").unlink()
    outcome, rows = index(tmp_path / "index.parquet", root)
    assert rows["part0.tar"]["reason"].startswith("damaged: the archive is truncated or damaged")
    assert "part0.tar" in outcome.out
    with tarfile.open(root / "evil.tar", "w") as tar:
        tar.add(files / "a.mp4", "../a.mp4", filter=lambda info: info)
    refused = tavlo("data", "index", "--root", root, "--out", tmp_path / "index.parquet", *FILTER)
    assert refused.code == 2
    assert refused.err.splitlines()[-1].startswith(f"tavlo data: {root / 'evil.tar'}: ../a.mp4: the member's name")


def test_only_what_changed_is_opened_again(good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_files(tmp_path / "clips", {"a.mp4": good, "b.mp4": b"", "c.mp4": good})
    with tarfile.open(root / "part.tar.gz", "w:gz") as tar:
        tar.add(root / "a.mp4", "in.mp4")
    opened: list[str] = []
    probe_video = probe.probe_video
    monkeypatch.setattr(probe, "probe_video", lambda row, file: opened.append(str(file)) or probe_video(row, file))
    out = tmp_path / "index.parquet"
    index(out, root)
    assert len(opened) == 4
    first = out.read_bytes()
    index(out, root)
    assert len(opened) == 4
    assert out.read_bytes() == first
    (root / "b.mp4").write_bytes(good)
    os.utime(root / "c.mp4", ns=(0, 0))
    _, rows = index(out, root, "--duration_s", 1)
    assert opened[4:] == [str(root / "b.mp4"), str(root / "c.mp4")]
    assert {row["reason"].partition(":")[0] for row in rows.values()} == {"duration"}, "reasons are always made anew"
    assert not list(tmp_path.glob("*.journal"))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("packed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(good: bytes, tmp_path: Path, packed: bool) -> None:
    root = write_files(tmp_path / "clips", {f"{n:03d}.mp4": good if n % 7 else good[:n] for n in range(150)})
    if packed:
        with tarfile.open(tmp_path / "part.tar.gz", "w:gz", compresslevel=1) as tar:
            tar.add(root, "part")
        root = tmp_path / "part.tar.gz"
    out = tmp_path / "index.parquet"
    journal = tmp_path / "index.parquet.journal"
    words = [str(word) for word in ("data", "index", "--root", root, "--out", out, *FILTER, "--jobs", 2)]
    process = subprocess.Popen([sys.executable, "-m", "tavlo_pl", *words], stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s and not (journal.is_file() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.002)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    noted = journal.read_bytes()
    assert 2 < noted.count(b"\n") < 150, "killed in the middle"
    assert not out.exists()
    journal.write_bytes(noted[:-3])  # half a line, as a kill in the middle of it leaves
    index(out, root)
    while time.monotonic() < until_s and any(Path("/proc", worker, "exe").exists() for worker in workers):
        time.sleep(0.01)
    assert workers
    assert not [worker for worker in workers if Path("/proc", worker, "exe").exists()], "they end with their parent"
    index(tmp_path / "unbroken.parquet", root)
    assert out.read_bytes() == (tmp_path / "unbroken.parquet").read_bytes()
    assert not journal.exists()


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.parquet").write_bytes(b"no table")
    (tmp_path / "a.mp4").write_bytes(b"")
    for words, told in (
        (["--root", tmp_path / "none", "--out", tmp_path / "x"], "no such folder or archive"),
        (["--root", tmp_path / "empty", "--out", tmp_path / "x"], "no video and no tar archive there"),
        (["--root", tmp_path, "--out", tmp_path / "no.parquet"], "no index of tavlo data index"),
        (["--root", tmp_path, "--out", tmp_path / "x", "--csv", tmp_path / "none.csv"], "no such table of clips"),
        (["--root", tmp_path, "--out", tmp_path / "x", "--jobs", 0], "at least 1 process, not 0"),
        (["--root", tmp_path], "out"),
    ):
        outcome = tavlo("data", "index", *words)
        assert outcome.code == 2
        assert told in outcome.err
        assert outcome.err.count("\n") == 1


def test_index_gives_a_hanging_clip_a_row(good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated Matroska file before a terabyte of zeros, which the demuxer scans byte by byte."""
    monkeypatch.setenv(env.CLIP_TIMEOUT_S, "0.5")
    root = write_files(tmp_path / "clips", {"a.mp4": good})
    hanging = write_numbered(root / "hanging.mkv").path
    os.truncate(hanging, hanging.stat().st_size * 2 // 3)
    os.truncate(hanging, 2**40)
    _, rows = index(tmp_path / "index.parquet", root)
    assert rows["hanging.mkv"]["reason"].startswith("too slow: ")
    assert rows["a.mp4"]["reason"] == ""


def test_second_index_on_one_table_is_refused(good: bytes, tmp_path: Path) -> None:
    root = write_files(tmp_path / "clips", {f"{A}_000001.mp4": good})
    ours, theirs = os.pipe()
    other = os.fork()
    if other == 0:
        with exclusive_folder(tmp_path, ".index.parquet.lock"):
            os.write(theirs, b"x")
            signal.pause()
    os.read(ours, 1)
    try:
        outcome = tavlo("data", "index", "--root", root, "--out", tmp_path / "index.parquet", *FILTER)
        assert outcome.code == 2 and f"in use by another run (process {other} on" in outcome.err, outcome.err
        assert not list(tmp_path.glob("index.parquet*"))
        index(tmp_path / "another.parquet", root)
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    index(tmp_path / "index.parquet", root)
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "index.parquet", "another.parquet"}
