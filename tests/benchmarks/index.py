"""How many clips a second does ``tavlo data index`` take in, and how long does it take to see that nothing changed?

make bench. The clips are copies of a few of the procedural world's at 640 x 360, 30 fps and 10 s. CPU time is that of
all processes together, their start included; elapsed time depends on what else the machine does.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tavlo_pl.data.synthetic.write import Job, write_job
from tests.benchmarks.decode import WORLD

CLIPS = 200
DIFFERENT = 4
JOBS = 2
ROUNDS = 3


def timed(command: list[str]) -> tuple[float, float]:
    """Elapsed and CPU seconds of a command and its processes."""
    before, start_s = os.times(), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start_s, cpu_s


def main() -> None:
    """Prints elapsed and CPU time of first and second runs."""
    with tempfile.TemporaryDirectory() as folder:
        world, clips, out = Path(folder, "world"), Path(folder, "clips"), Path(folder, "index.parquet")
        for number in range(DIFFERENT):
            write_job(Job(WORLD, world, "train", None, number))
        clips.mkdir()
        films = sorted(world.rglob("*.mp4"))
        for number in range(CLIPS):
            shutil.copy(films[number % DIFFERENT], clips / f"clip{number:07d}_{number:06d}.mp4")
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


if __name__ == "__main__":
    main()
