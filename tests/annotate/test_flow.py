"""Masks carried by optical flow."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from tavlo_pl.annotate.agreement import iou
from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.flow import FlowTracker, is_cut
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance, mask_of, with_mask
from tavlo_pl.annotate.locks import ClipLocks
from tavlo_pl.annotate.project import ClipProposals, Project, ProposedFrame
from tavlo_pl.annotate.workspace import Workspace
from tavlo_pl.data import media
from tavlo_pl.data.annotations import Instance
from tavlo_pl.types import Scenario
from tests.helpers.annotate import make_project, write_proposals
from tests.helpers.cli import tavlo

CLIP = "aaaaaaaaaaa_00001"
HEIGHT, WIDTH, SIDE = 96, 144, 40


def scene(count: int, cut: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(N, H, W, 3) frames of a textured square that moves by 2 pixels a frame, and its (N, H, W) masks."""
    rng = np.random.default_rng(3)
    smooth = [np.kron(rng.integers(40, 200, (n // 4, m // 4, 3)), np.ones((4, 4, 1))) for n, m in ((96, 144), (40, 40))]
    frames, masks = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8), np.zeros((count, HEIGHT, WIDTH), bool)
    for n in range(count):
        left = 10 + 2 * n
        masks[n, 30 : 30 + SIDE, left : left + SIDE] = True
        frames[n] = smooth[0] // 2
        frames[n, 30 : 30 + SIDE, left : left + SIDE] = smooth[1]
        if cut is not None and n >= cut:
            frames[n] = 255 - frames[n] // 4
    return frames, masks


def test_mask_follows_a_moving_object() -> None:
    frames, masks = scene(12)
    carried = list(FlowTracker().carry(frames, masks[0]))
    assert [each.position for each in carried] == list(range(1, 12))
    assert iou(carried[-1].mask, masks[-1]) > 0.85 > iou(masks[0], masks[-1])
    confidence = [each.confidence for each in carried]
    assert confidence == sorted(confidence, reverse=True) and 0.4 <= confidence[-1] <= 1


def test_mask_stops_at_a_cut() -> None:
    frames, masks = scene(8, cut=5)
    assert [each.position for each in FlowTracker().carry(frames, masks[0])] == [1, 2, 3, 4]
    grey = frames.mean(-1).astype(np.uint8)
    assert is_cut(grey[4], grey[5]) and not is_cut(grey[3], grey[4])


def test_mask_of_a_vanished_object_is_lost() -> None:
    frames, masks = scene(6)
    frames[3:] = np.random.default_rng(0).integers(0, 255, (3, HEIGHT, WIDTH, 3))
    assert max((each.position for each in FlowTracker().carry(frames, masks[0])), default=0) <= 3


def make_moving(folder: Path) -> Project:
    """A project of one clip of the scene, 12 frames at 10 a second, with an accepted mask in frame 2."""
    project = make_project(folder, [CLIP])
    frames, masks = scene(12)
    project.video(CLIP).unlink()
    tone = np.sin(np.arange(19_200) / 4).astype(np.float32) / 2
    media.write_clip(project.video(CLIP), frames, 10, tone, 16_000)
    records = [FrameRecord(n, n / 10, WIDTH, HEIGHT) for n in (2, 8)]
    proposed = tuple(ProposedFrame(record, 0, 1.0) for record in records)
    write_proposals(project, ClipProposals(CLIP, 1.2, None, ((0.0, 1.2),), proposed))
    source = with_mask(Instance("dog", Scenario.SINGLE_SOUND), masks[2])
    instance = FrameInstance("p0", source, "accepted", Provenance("person"), (0.1, 1.0))
    Decisions(folder).save(CLIP, FrameRecord(2, 0.2, WIDTH, HEIGHT, "done", (instance,)), "ann")
    return project


def test_command_proposes_masks_while_the_source_sounds(tmp_path: Path) -> None:
    project = make_moving(tmp_path / "p")
    outcome = tavlo("annotate", "propagate", project.folder, "--every_s", 0.3)
    assert outcome.code == 0, outcome.err
    decisions = Decisions(project.folder)
    frames = {frame.number: frame for frame in decisions.frames(CLIP)}
    assert set(frames) == {2, 5, 8} and "2 proposals in 1 clips" in outcome.out
    _, masks = scene(12)
    for number in (5, 8):
        (each,) = frames[number].instances
        assert (each.status, each.provenance.by, each.id, each.span_s) == ("proposed", "flow", "f2.p0", (0.1, 1.0))
        assert each.provenance.score is not None and 0.4 <= each.provenance.score <= 1
        assert iou(mask_of(each.instance, frames[number]), masks[number]) > 0.8
        assert frames[number].status == "open"
    assert "0 proposals" in tavlo("annotate", "propagate", project.folder, "--every_s", 0.3).out
    workspace = Workspace(project)
    assert workspace.frame(0, 5)["state"]["instances"][0]["provenance"]["by"] == "flow"
    assert workspace.image(0, 5)[:2] == b"\xff\xd8"


def test_locked_clips_and_wrong_options_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_moving(tmp_path / "p")
    ClipLocks(project.folder / "locks").take(CLIP, "s", "bob")
    assert "0 proposals" in tavlo("annotate", "propagate", project.folder).out
    assert tavlo("annotate", "propagate", project.folder, "--every_s", 0).code == 2
    ClipLocks(project.folder / "locks").release(CLIP, "s")
    project.video(CLIP).write_bytes(b"<html>")
    outcome = tavlo("annotate", "propagate", project.folder)
    assert outcome.code == 1 and "not a media file" in outcome.err
    assert json.loads(project.proposals_path(CLIP).read_text())["frames"][0]["tavlo"]["instances"] == []
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    missing = tavlo("annotate", "propagate", project.folder)
    assert missing.code == 2 and "pip install 'tavlo_pl[annotate]'" in missing.err
