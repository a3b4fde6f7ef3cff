"""How many clips a second does ``tavlo data index`` take in, and how long does it take to see that nothing changed?

make bench. The clips are copies of a few of the procedural world's at 640 x 360, 30 fps and 10 s. CPU time is that of
all processes together, their start included; elapsed time depends on what else the machine does. Then what one more
clip costs, and an index of 200,000 rows.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.index import Index, Row, write_index
from tavlo_pl.data.index_probe import File, Probed, probe_video
from tavlo_pl.data.synthetic.write import Job, write_job
from tests.benchmarks.decode import WORLD

CLIPS = 200
DIFFERENT = 4
JOBS = 2
ROUNDS = 3
MANY = 200_000


def timed(command: list[str]) -> tuple[float, float]:
    """Elapsed and CPU seconds of a command and its processes."""
    before, start_s = os.times(), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start_s, cpu_s


def probe_alone(films: list[Path]) -> None:
    """Prints the CPU time of one more clip: no start of processes, no table."""
    taken_s = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        for film in films:
            probe_video(Probed(File(str(film), 0, 0)), film)
        taken_s.append((time.process_time() - start_s) / len(films))
    print(f"one more clip       {1000 * min(taken_s):6.1f} ms CPU (to {1000 * max(taken_s):.1f})")


def load_many(path: Path, films: list[Path]) -> None:
    """Prints what an index of 200,000 rows takes, and the largest process that reads clips by it."""
    videos = (
        Probed(File(str(films[number % len(films)]), 1, 1), None, "", 1, 10.0, 10.0, 640, 360, 30.0, 300)
        for number in range(MANY)
    )
    write_index(path, (Row(f"{n:011x}_{n % 600:06d}", video, "dog", "train") for n, video in enumerate(videos)), {})
    taken_s = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        clips = Index(str(path)).clips()
        taken_s.append(time.process_time() - start_s)
    memory, size = clips.table.nbytes / 2**20, path.stat().st_size / 2**20
    print(f"{MANY:,} rows: {min(taken_s):.2f} s CPU (to {max(taken_s):.2f}), {memory:.0f} MiB; file {size:.1f} MiB")
    data = ClipDataModule(train=Index(str(path)), num_workers=1)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    for _ in range(ROUNDS):
        next(batches)
    (worker,) = multiprocessing.active_children()
    status = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) // 1024 for line in status[1:]}
    print(f"its worker: {sizes['Rss:']} MiB, {sizes['Private_Dirty:']} of them its own")


def main() -> None:
    """Prints elapsed and CPU time of first and second runs, of one more clip, and of a large index."""
    with tempfile.TemporaryDirectory() as folder:
        world, clips, out = Path(folder, "world"), Path(folder, "clips"), Path(folder, "index.parquet")
        for number in range(DIFFERENT):
            write_job(Job(WORLD, world, "train", None, number))
        clips.mkdir()
        films = sorted(world.rglob("*.mp4"))
        for number in range(CLIPS):
            shutil.copy(films[number % DIFFERENT], clips / f"clip{number:07d}_{number:06d}.mp4")
        print(f"{sum(film.stat().st_size for film in films) / len(films) / 1e6:.2f} MB a clip")
        command = [sys.executable, "-m", "tavlo_pl", "data", "index", "--jobs", str(JOBS)]
        command += ["--root", str(clips), "--out", str(out)]
        for number in range(ROUNDS):
            out.unlink(missing_ok=True)
            for name in ("first run", "second run, nothing changed"):
                elapsed_s, cpu_s = timed(command)
                print(
                    f"round {number}  {name:<28}{elapsed_s:6.2f} s{CLIPS / elapsed_s:7.0f} clips a second"
                    f"{cpu_s:7.2f} s CPU{1000 * cpu_s / CLIPS:7.1f} ms CPU a clip"
                )
        probe_alone(sorted(clips.iterdir()))
        load_many(out, sorted(clips.iterdir()))


if __name__ == "__main__":
    main()
