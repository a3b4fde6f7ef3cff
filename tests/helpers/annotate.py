"""Clips with sound bursts and blurred frames, and small annotation projects made of them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tavlo_pl.annotate.activity import Activity
from tavlo_pl.annotate.frames import FrameRecord
from tavlo_pl.annotate.project import ClipProposals, Project, ProposedFrame
from tavlo_pl.data import media
from tests.helpers.cli import Outcome, tavlo

RATE = 10
SIZE = (64, 96)
CLIPS = ("aaaaaaaaaaa_00001", "bbbbbbbbbbb_00002", "ccccccccccc_00003")


def write_bursts(
    path: Path, bursts: Sequence[tuple[float, float]] = ((0.5, 1.5),), blurred: Sequence[int] = (), seconds: float = 2.0
) -> None:
    """A clip of noise tiles, 10 frames a second, that is silent but for bursts of a tone.

    Args:
        path: an MP4 file.
        bursts: spans in seconds.
        blurred: numbers of the frames that are averaged over 5 x 5 pixels.
        seconds: length.
    """
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (SIZE[0] // 4, SIZE[1] // 4, 3)).repeat(4, 0).repeat(4, 1).astype(float)
    soft = sum(np.roll(tiles, (y, x), (0, 1)) for y in range(-2, 3) for x in range(-2, 3)) / 25
    frames = [(soft if n in blurred else tiles).astype(np.uint8) for n in range(round(seconds * RATE))]
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    loud = np.any([(time_s >= start) & (time_s < end) for start, end in bursts], axis=0)
    media.write_clip(path, frames, RATE, (loud * 0.5 * np.sin(2765 * time_s)).astype(np.float32), 16_000)


def propose(root: Path, out: Path, *args: object) -> Outcome:
    """``tavlo annotate propose`` in this process, for clips of `write_bursts`."""
    every = ("--min_frames", 1, "--duration_s", 2, "--width", "null", "--height", "null", "--jobs", 1)
    return tavlo("annotate", "propose", "--root", root, "--out", out, *every, *args)


def make_project(folder: Path, clips: Sequence[str] = CLIPS, frames: Sequence[int] = (7, 12)) -> Project:
    """A project of clips of `write_bursts` with two frames each and without proposed instances."""
    project = Project(folder)
    project.claim(Activity())
    for clip in clips:
        write_bursts(project.video(clip))
        records = [FrameRecord(number, number / RATE, SIZE[1], SIZE[0]) for number in frames]
        proposed = tuple(ProposedFrame(record, 0, 1.0, (("Dog", 0.5),)) for record in records)
        write_proposals(project, ClipProposals(clip, 2.0, None, ((0.5, 1.5),), proposed))
        for record in records:
            path = project.image(clip, record.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIZE[1], SIZE[0]), (90, 120, 150)).save(path)
    return project


def write_proposals(project: Project, proposals: ClipProposals) -> None:
    """Writes the file of a clip's proposals."""
    path = project.proposals_path(proposals.clip)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(proposals.to_json()))


def hang(*_: object) -> None:
    """A task of a video that takes a minute, in one call."""
    time.sleep(60)
