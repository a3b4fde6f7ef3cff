"""CPU time of 1,000 clips proposed without a detector: regions, sharpest frames, and the frames as JPEG files.

The clips are 10 synthetic ones, 640 x 360 at 30 fps, 10 s, each under 100 names. They are selected and proposed in this
process; the start of the command is left out. The target is at most 0.5 s a clip and core. ``--clips N`` takes fewer.
"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from benchmarks.decode import WORLD, decode_all
from benchmarks.report import Row, cpu_s, single, write
from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.propose import ProposalOptions, propose_all
from tavlo_pl.commands.data_index import index
from tavlo_pl.data.index import Index
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job
from tavlo_pl.engine.local import LocalEngine

DIFFERENT = 10


def link_clips(folder: Path, clips: int) -> list[Path]:
    """Writes the different clips and links each under its names; returns the different ones."""
    for number in range(DIFFERENT):
        write_job(SyntheticJob(WORLD, folder / "world", "train", None, number))
    videos = sorted((folder / "world").rglob("*.mp4"))
    (folder / "clips").mkdir()
    for number in range(clips):
        os.link(videos[number % DIFFERENT], folder / "clips" / f"clip{number:07d}_{number:06d}.mp4")
    return videos


def propose_each(project: Project, clips: Index) -> list[float]:
    """CPU seconds of the proposals of each clip."""
    taken_s: list[float] = []
    before_s = time.process_time()
    for _, reason in propose_all(project, clips, ProposalOptions(), LocalEngine(1)):
        assert not reason, reason
        now_s = time.process_time()
        taken_s.append(now_s - before_s)
        before_s = now_s
    return taken_s


def main(clips: int = 1000) -> None:
    """Measures and writes the results.

    Args:
        clips: number of clips.
    """
    with tempfile.TemporaryDirectory() as place:
        videos = link_clips(Path(place), clips)
        project = Project(Path(place, "project"))
        project.claim(ProposalOptions())
        table = str(project.folder / "clips.parquet")
        selected_s = cpu_s(lambda: index(str(Path(place, "clips")), table, jobs=1)) / clips
        proposed_s = propose_each(project, Index(table, split=None))
        assert len(proposed_s) == clips
        decoded_s = [cpu_s(partial(decode_all, video)) for video in videos]
    mean_s, decode_s = float(np.mean(proposed_s)), float(np.mean(decoded_s))
    slowest = f"slowest of 100 clips {np.quantile(proposed_s, 0.99):.2f} s"
    total = f"{len(proposed_s):,} clips in {sum(proposed_s):.0f} s"
    detail = f"{total}; {slowest}; selection {1000 * selected_s:.0f} ms a clip"
    low_s, high_s = np.quantile(proposed_s, (0.05, 0.95)).tolist()
    rows = [
        Row("proposals of a clip of 10 s, mean (5 % to 95 %)", mean_s, low_s, high_s, "s CPU", detail),
        single("proposals of a clip", mean_s / decode_s, "× one full decode", f"{1000 * decode_s:.0f} ms CPU a decode"),
    ]
    write("annotate", rows)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
