"""Journal and annotations of a project, and the locks of its clips."""

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tavlo_pl.annotate import locks
from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameRecord, read_frame
from tavlo_pl.annotate.locks import ClipLocks
from tavlo_pl.annotate.project import Project
from tavlo_pl.errors import TavloError
from tests.annotate.test_frames import record
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.helpers.annotate import make_project
from tests.helpers.faults import killed_at_write

CLIP = "abcdefghijk_00010"
OPEN = FrameRecord(7, 0.7, 96, 64)


def test_decisions_are_saved_and_undone_without_limit(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    assert decisions.frame(CLIP, OPEN) == OPEN and decisions.clips() == []
    states = [record("open"), record("done"), record("cannot_tell")]
    for state in states:
        decisions.save(CLIP, state, "ann")
    decisions.save(CLIP, replace(OPEN, number=8), "ann")
    assert [each.status for each in decisions.history(CLIP, 7)] == ["open", "done", "cannot_tell"]
    for expected in ("done", "open", "open"):
        assert decisions.undo(CLIP, OPEN, "ann").status == expected
        assert decisions.frame(CLIP, OPEN).status == expected
    assert decisions.frame(CLIP, OPEN) == OPEN and decisions.undo(CLIP, OPEN, "ann") == OPEN
    decisions.save(CLIP, states[1], "bob")
    assert [each.status for each in decisions.history(CLIP, 7)] == ["done"]
    assert [each.number for each in decisions.frames(CLIP)] == [7, 8] and decisions.clips() == [CLIP]
    assert decisions.decisions(CLIP)[-1].by == "bob"


def test_killed_save_is_completed_or_dropped(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    decisions.save(CLIP, record("open"), "ann")

    def save() -> None:
        decisions.save(CLIP, record("done"), "ann")

    assert killed_at_write(1, save)  # after the flush of the journal
    assert read_frame(decisions.path(CLIP, OPEN)).status == "open"
    assert decisions.complete_all() == []
    assert read_frame(decisions.path(CLIP, OPEN)).status == "done"
    with decisions.journal(CLIP).open("ab") as file:
        file.write(b'{"at": "20')  # killed while it wrote the journal
    assert len(decisions.history(CLIP, 7)) == 2
    decisions.save(CLIP, record("cannot_tell"), "ann")
    assert [each.action for each in decisions.decisions(CLIP)] == ["set"] * 3


def test_damaged_file_is_replaced_by_the_journal(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    decisions.save(CLIP, record(), "ann")
    decisions.path(CLIP, OPEN).write_text("{")
    assert decisions.frame(CLIP, OPEN).to_json() == record().to_json()
    assert [frame.to_json() for frame in decisions.frames(CLIP)] == [record().to_json()]
    decisions.save(CLIP, replace(OPEN, number=8), "ann")
    decisions.path(CLIP, OPEN).unlink()
    assert decisions.complete_all() == []
    assert read_frame(decisions.path(CLIP, OPEN)).to_json() == record().to_json()
    decisions.path(CLIP, OPEN).write_text("{")
    decisions.journal(CLIP).write_text("[]\n")
    (problem,) = decisions.complete_all()
    assert "line 1 must be an object" in problem and "restore the file" in problem
    with pytest.raises(TavloError):
        decisions.frame(CLIP, OPEN)
    with pytest.raises(TavloError):
        decisions.save(CLIP, record(), "ann")
    assert decisions.path(CLIP, OPEN).read_text() == "{" and decisions.journal(CLIP).read_text() == "[]\n"


@pytest.mark.parametrize("number", [50, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused_in_a_sentence(tmp_path: Path, number: int) -> None:
    project = make_project(tmp_path, ["a"])
    decisions = Decisions(tmp_path)
    decisions.save("a", record(), "ann")
    valid = {
        path: path.read_bytes()
        for path in (
            project.proposals_path("a"),
            decisions.path("a", OPEN),
            decisions.journal("a"),
            project.folder / "project.json",
        )
    }
    counts = {"read": 0, "refused": 0}
    for seed in range(number):
        draw = random.Random(seed)
        path = draw.choice(list(valid))
        data = valid[path]
        is_journal = path.suffix == ".jsonl"
        path.write_bytes(
            mutate_bytes(data, draw) if is_journal and seed % 2 else mutate_json(json.loads(data), draw) + b"\n"
        )
        message = ""
        try:
            Project.open(tmp_path).proposals("a")
            decisions.frame("a", OPEN)
            decisions.complete("a")
            decisions.history("a", 7)
            counts["read"] += 1
        except TavloError as error:
            message = str(error)
            counts["refused"] += 1
        assert "\n" not in message
        if path == decisions.path("a", OPEN):  # nothing that was accepted is lost
            assert read_frame(path).to_json() == record().to_json()
        for each, content in valid.items():
            if each != path and each.suffix == ".jsonl":  # the journal is never changed by a reader
                assert each.read_bytes() == content
            each.write_bytes(content)
    assert counts["read"] > number / 100 and counts["refused"] > number / 4


def test_lock_keeps_other_sessions_out_until_it_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = ClipLocks(tmp_path / "locks"), ClipLocks(tmp_path / "locks")
    assert one.take(CLIP, "s1", "ann").annotator == "ann"
    assert other.take(CLIP, "s2", "bob").annotator == "ann"
    assert {clip: holder.annotator for clip, holder in other.holders().items()} == {CLIP: "ann"}
    other.release(CLIP, "s2")
    assert one.take(CLIP, "s1", "ann").session == "s1"
    now = locks.time.time()
    monkeypatch.setattr(locks.time, "time", lambda: now + 2 * locks.EXPIRES_S)
    assert other.holders() == {} and other.take(CLIP, "s2", "bob").annotator == "bob"
    other.release(CLIP, "s2")
    assert one.take(CLIP, "s1", "ann").annotator == "ann"
    (tmp_path / "locks" / f"{CLIP}.lock").write_text("{")
    assert other.take(CLIP, "s2", "bob").annotator == "bob"


def test_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        ClipLocks(tmp_path).take(CLIP, "s1", "ann")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / f"{CLIP}.lock").is_file() and ClipLocks(tmp_path).holders() == {}
    assert ClipLocks(tmp_path).take(CLIP, "s2", "bob").annotator == "bob"
    stored = json.loads((tmp_path / f"{CLIP}.lock").read_text())
    (tmp_path / f"{CLIP}.lock").write_text(json.dumps(stored | {"process": child, "machine": "another"}))
    assert ClipLocks(tmp_path).take(CLIP, "s3", "ann").annotator == "bob"


def test_locks_are_exclusive_between_processes(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            won = [ClipLocks(folder).take(f"clip{n}", f"s{number}", "x").session == f"s{number}" for n in range(30)]
            (tmp_path / f"{number}.txt").write_text(json.dumps(won))
            time.sleep(60)  # until it is killed: the locks of a dead process are free
            os.kill(os.getpid(), signal.SIGKILL)
        children.append(child)
    files = [tmp_path / f"{number}.txt" for number in range(4)]
    while not all(path.is_file() and path.read_text().endswith("]") for path in files):
        time.sleep(0.01)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    won = [json.loads(path.read_text()) for path in files]
    assert [sum(each) for each in zip(*won, strict=True)] == [1] * 30
