"""CPU time of ``tavlo data index``: the first run, a second run without changes, and loading an index of 200,000 rows.

The clips are copies of a few synthetic ones, 640 x 360 at 30 fps, 10 s. CPU time is that of all processes including
their start; elapsed time depends on the load of the machine.
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


def probe_all(videos: list[Path]) -> None:
    """Probes each clip as the index does, without starting processes or writing a table."""
    for video in videos:
        probe_video(Probed(File(str(video), 0, 0)), video)


def load_many(path: Path, videos: list[Path]) -> list[Row]:
    """Time to list the clips of an index of 200,000 rows, and memory of a data loader process that uses it."""
    probed = (
        Probed(File(str(videos[number % len(videos)]), 1, 1), None, "", 1, 10.0, 10.0, 640, 360, 30.0, 300)
        for number in range(MANY)
    )
    write_index(
        path, (clip_index.Row(f"{n:011x}_{n % 600:06d}", video, "dog", "train") for n, video in enumerate(probed)), {}
    )
    clips = Index(str(path)).clips()
    taken_s = sorted(cpu_s(lambda: Index(str(path)).clips()) for _ in range(ROUNDS))
    detail = f"{clips.table.nbytes / 2**20:.0f} MiB in memory, a file of {path.stat().st_size / 2**20:.1f} MiB"
    listed = Row(f"listing {MANY:,} clips", taken_s[ROUNDS // 2], taken_s[0], taken_s[-1], "s CPU", detail)
    data = ClipDataModule(train=Index(str(path)), num_workers=1)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    for _ in range(ROUNDS):
        next(batches)
    (worker,) = multiprocessing.active_children()
    status = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) // 1024 for line in status[1:]}
    detail = f"{sizes['Private_Dirty:']} MiB of {sizes['Rss:']}"
    own = single("a worker's own memory", sizes["Private_Dirty:"] / sizes["Rss:"], "of its size", detail)
    return [listed, own]


def main() -> None:
    """Measures and writes the results."""
    with tempfile.TemporaryDirectory() as folder:
        world, clips, out = Path(folder, "world"), Path(folder, "clips"), Path(folder, "index.parquet")
        for number in range(DIFFERENT):
            write_job(SyntheticJob(WORLD, world, "train", None, number))
        clips.mkdir()
        videos = sorted(world.rglob("*.mp4"))
        for number in range(CLIPS):
            shutil.copy(videos[number % DIFFERENT], clips / f"clip{number:07d}_{number:06d}.mp4")
        command = [sys.executable, "-m", "tavlo_pl", "data", "index", "--jobs", str(JOBS)]
        command += ["--root", str(clips), "--out", str(out)]
        first_s: list[float] = []
        again_s: list[float] = []
        probe_s: list[float] = []
        clock_s: list[np.ndarray] = []
        for _ in range(ROUNDS):
            out.unlink(missing_ok=True)
            starts_s = [time.perf_counter()]
            first_s.append(command_cpu_s(command))
            starts_s.append(time.perf_counter())
            again_s.append(command_cpu_s(command))
            clock_s.append(np.diff([*starts_s, time.perf_counter()]))
            probe_s.append(cpu_s(lambda: probe_all(sorted(clips.iterdir()))))
        first_clock_s, again_clock_s = np.median(clock_s, axis=0)
        detail = (
            f"{1000 * min(first_s) / CLIPS:.1f} ms CPU a clip against {1000 * min(probe_s) / CLIPS:.1f}; by the clock "
        )
        detail += f"{first_clock_s:.1f} s, {CLIPS / first_clock_s:.0f} clips a second"
        detail_again = f"{min(again_s):.1f} s CPU, {again_clock_s:.1f} s by the clock"
        many = load_many(out, sorted(clips.iterdir()))
    rows = [
        ratio(
            f"index of {CLIPS} clips, including the start of processes", first_s, probe_s, "× opening the files", detail
        ),
        ratio("second run, nothing changed", again_s, first_s, "× the first", detail_again),
    ]
    write("index", rows + many)


if __name__ == "__main__":
    main()
