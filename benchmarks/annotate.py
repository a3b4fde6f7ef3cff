"""CPU time of proposals without a detector: regions, sharpest frames, and the frames as JPEG files.

The clips are copies of a few synthetic ones, 640 x 360 at 30 fps, 10 s, proposed in this process; the start of the
command is left out. The target is at most 0.5 s a clip.
"""

import shutil
import tempfile
from pathlib import Path

from benchmarks.decode import WORLD, decode_all
from benchmarks.report import cpu_s, ratio, write
from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.propose import ProposalOptions, propose_all
from tavlo_pl.commands.data_index import index
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job
from tavlo_pl.engine.local import LocalEngine

CLIPS = 24
DIFFERENT = 4
ROUNDS = 3


def propose_each(folder: Path) -> None:
    """Makes the proposals of all clips of a new project."""
    project = Project(folder)
    failed = [reason for _, reason in propose_all(project, ProposalOptions(), LocalEngine(1)) if reason]
    assert not failed, failed[0]


def main() -> None:
    """Measures and writes the results."""
    with tempfile.TemporaryDirectory() as place:
        world, clips = Path(place, "world"), Path(place, "clips")
        for number in range(DIFFERENT):
            write_job(SyntheticJob(WORLD, world, "train", None, number))
        clips.mkdir()
        videos = sorted(world.rglob("*.mp4"))
        for number in range(CLIPS):
            shutil.copy(videos[number % DIFFERENT], clips / f"clip{number:07d}_{number:06d}.mp4")
        proposed_s: list[float] = []
        decoded_s: list[float] = []
        for turn in range(ROUNDS):
            folder = Path(place, str(turn))
            Project(folder).claim(ProposalOptions())
            index(str(clips), str(folder / "clips.parquet"), jobs=1)
            proposed_s.append(cpu_s(lambda folder=folder: propose_each(folder)) / CLIPS)  # type: ignore[misc]
            decoded_s.append(cpu_s(lambda: [decode_all(path) for path in sorted(clips.iterdir())]) / CLIPS)
    detail = f"{1000 * min(proposed_s):.0f} ms CPU a clip against {1000 * min(decoded_s):.0f}"
    write("annotate", [ratio("proposals of a clip", proposed_s, decoded_s, "× one full decode", detail)])


if __name__ == "__main__":
    main()
