"""Time and memory of ``tavlo predict`` with the packaged checkpoint, as a user runs it: one process, imports included.

With the path of another checkout (``python -m benchmarks.command PATH``), rounds alternate between it and this one.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.decode import DURATION_S, WORLD
from benchmarks.report import ROOT, Row, ratio, single, write
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job

ROUNDS = 3
PROGRESS = re.compile(rb"[1-9]\d*%\|")
"""What the progress bar shows from the first maps on."""


class Taken(NamedTuple):
    """What one run took.

    Attributes:
        cpu_s: of all threads.
        wall_s: elapsed.
        first_s: elapsed until the first maps.
        peak_mib: largest resident size.
    """

    cpu_s: float
    wall_s: float
    first_s: float
    peak_mib: float


def predict(checkout: Path, clip: Path, out: Path) -> Taken:
    """Predicts a video with the packaged checkpoint and an overlay video."""
    command = [sys.executable, "-m", "tavlo_pl", "predict", str(clip), "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    began_s, first_s = time.monotonic(), None
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=clip.parent
    ) as process:
        assert process.stderr is not None
        printed = b""
        while chunk := os.read(process.stderr.fileno(), 65_536):
            printed += chunk
            if first_s is None and PROGRESS.search(printed):
                first_s = time.monotonic() - began_s
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or first_s is None:
        raise SystemExit(f"tavlo predict failed: {printed.decode()}")
    return Taken(usage.ru_utime + usage.ru_stime, time.monotonic() - began_s, first_s, usage.ru_maxrss / 1024)


def main(earlier: Path | None) -> None:
    """Measures and writes the results."""
    checkouts = [ROOT] if earlier is None else [ROOT, earlier]
    taken: dict[Path, list[Taken]] = {checkout: [] for checkout in checkouts}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_job(SyntheticJob(WORLD, folder / "world", "train", None, 0))
        (clip,) = (folder / "world").rglob("*.mp4")
        for number in range(ROUNDS):
            for checkout in checkouts:
                taken[checkout].append(predict(checkout, clip, folder / f"out{number}-{checkouts.index(checkout)}"))
    own = Taken(*map(statistics.median, zip(*taken[ROOT], strict=True)))
    name = f"tavlo predict, {DURATION_S:.0f} s of 640×360, with overlay video"
    rows: list[Row] = [
        single(f"{name}: time", own.cpu_s, "s CPU", f"{own.wall_s:.1f} s elapsed, all imports included"),
        single("until the first maps", own.first_s, "s elapsed"),
        single("memory", own.peak_mib / 1024, "GiB"),
    ]
    if earlier is not None:
        before, now = ([run.cpu_s for run in taken[checkout]] for checkout in (earlier, ROOT))
        rows.append(
            ratio("CPU time", now, before, "× the earlier version's", f"{statistics.median(before):.1f} s then")
        )
    write("command", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
