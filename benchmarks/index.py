"""How many clips a second does ``tavlo data index`` take in, and how long does it take to see that nothing changed?

Run it with ``make bench``.

The clips are copies of a few of the procedural world's at 640 x 360, 30 fps and 10 s. CPU time is that of
all processes together, their start included; elapsed time depends on what else the machine does. Then what one more
clip costs, and an index of 200,000 rows.
"""

import multiprocessing
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.decode import WORLD
from benchmarks.report import Row, command_cpu_s, cpu_s, ratio, single, write
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.index import table as clip_index
from tavlo_pl.data.index.probe import File, Probed, probe_video
from tavlo_pl.data.index.table import Index, write_index
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job

CLIPS = 200
DIFFERENT = 4
JOBS = 2
ROUNDS = 3
MANY = 200_000


def probe_all(films: list[Path]) -> None:
    """Opens each clip as the index does: no start of processes, no table."""
    for video_file in films:
        probe_video(Probed(File(str(video_file), 0, 0)), video_file)


def load_many(path: Path, films: list[Path]) -> list[Row]:
    """What an index of 200,000 rows takes, and the process that reads clips by it."""
    videos = (
        Probed(File(str(films[number % len(films)]), 1, 1), None, "", 1, 10.0, 10.0, 640, 360, 30.0, 300)
        for number in range(MANY)
    )
    write_index(
        path, (clip_index.Row(f"{n:011x}_{n % 600:06d}", video, "dog", "train") for n, video in enumerate(videos)), {}
    )
    clips = Index(str(path)).clips()
    taken_s = sorted(cpu_s(lambda: Index(str(path)).clips()) for _ in range(ROUNDS))
    told = f"{clips.table.nbytes / 2**20:.0f} MiB in memory, a file of {path.stat().st_size / 2**20:.1f} MiB"
    listed = Row(f"listing {MANY:,} clips", taken_s[ROUNDS // 2], taken_s[0], taken_s[-1], "s CPU", told)
    data = ClipDataModule(train=Index(str(path)), num_workers=1)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    for _ in range(ROUNDS):
        next(batches)
    (worker,) = multiprocessing.active_children()
    status = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) // 1024 for line in status[1:]}
    told = f"{sizes['Private_Dirty:']} MiB of {sizes['Rss:']}"
    own = single("a worker's own memory", sizes["Private_Dirty:"] / sizes["Rss:"], "of its size", told)
    return [listed, own]


def main() -> None:
    """Measures first and second runs, one more clip and a large index, and writes."""
    with tempfile.TemporaryDirectory() as folder:
        world, clips, out = Path(folder, "world"), Path(folder, "clips"), Path(folder, "index.parquet")
        for number in range(DIFFERENT):
            write_job(SyntheticJob(WORLD, world, "train", None, number))
        clips.mkdir()
        films = sorted(world.rglob("*.mp4"))
        for number in range(CLIPS):
            shutil.copy(films[number % DIFFERENT], clips / f"clip{number:07d}_{number:06d}.mp4")
        command = [sys.executable, "-m", "tavlo_pl", "data", "index", "--jobs", str(JOBS)]
        command += ["--root", str(clips), "--out", str(out)]
        first_s, again_s, alone_s, clock_s = [], [], [], []
        for _ in range(ROUNDS):
            out.unlink(missing_ok=True)
            starts_s = [time.perf_counter()]
            first_s.append(command_cpu_s(command))
            starts_s.append(time.perf_counter())
            again_s.append(command_cpu_s(command))
            clock_s.append(np.diff([*starts_s, time.perf_counter()]))
            alone_s.append(cpu_s(lambda: probe_all(sorted(clips.iterdir()))))
        once_s, twice_s = np.median(clock_s, axis=0)
        told = (
            f"{1000 * min(first_s) / CLIPS:.1f} ms CPU a clip against {1000 * min(alone_s) / CLIPS:.1f}; by the clock "
        )
        told += f"{once_s:.1f} s, {CLIPS / once_s:.0f} clips a second"
        told_again = f"{min(again_s):.1f} s CPU, {twice_s:.1f} s by the clock"
        many = load_many(out, sorted(clips.iterdir()))
    rows = [
        ratio(
            f"index of {CLIPS} clips, all that starting takes included", first_s, alone_s, "× opening the files", told
        ),
        ratio("second run, nothing changed", again_s, first_s, "× the first", told_again),
    ]
    write("index", rows + many)


if __name__ == "__main__":
    main()
