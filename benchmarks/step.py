"""CPU time of a forward pass and a training step, relative to the backbone alone and to earlier versions.

The recommended configuration at 224 pixels, T = 10, B = 4, one thread; 14 x 14 cells as configured, and 7 x 7. Each
version runs in a process of its own (``step_worker.py``). Rounds alternate between all versions and count user CPU time
only, because system time depends on how much memory other programs use. A step consists of loss, gradient, clipping and
optimizer step. The sources of earlier versions come from git; without the history they are left out, with a message.
"""

import io
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, Row, ratio, single, write

ROUNDS = 2
EARLIER = {"first landed": "2d6b9f9", "first of this objective": "d0386c2"}
"""Commits of earlier versions. The first encoded fewer audio clips a step; the second is the first with the current
objective. Both have two AST blocks, so the current version is measured with two blocks too."""

TWO_BLOCKS = "now, two blocks"
WORKER = Path(__file__).with_name("step_worker.py")


class Worker:
    """A process that holds one version of the model.

    Args:
        root: folder with the sources of the version.
        stride: stride of the visual encoder.
        layers: number of AST blocks; 0 as configured.
    """

    def __init__(self, root: Path, stride: int, layers: int = 0) -> None:
        command = [sys.executable, str(WORKER), str(root), str(stride), str(layers)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def cpu_s(self, work: str) -> float:
        """Returns the user CPU seconds of one piece of work.

        Raises:
            RuntimeError: the process has ended.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        self.process.stdin.write(work + "\n")
        self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"the process of {work} ended with exit code {self.process.wait()}")
        return float(json.loads(line))

    def end(self) -> None:
        """Ends the process."""
        self.process.communicate()


@contextmanager
def earlier_versions() -> Iterator[dict[str, Path]]:
    """Extracts the sources of earlier versions; yields name -> folder of those in the git history."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Path] = {}
        for name, commit in EARLIER.items():
            command = [shutil.which("git") or "git", "archive", commit, "tavlo_pl", "configs"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            if done.returncode:
                print(f"{name} ({commit}): left out, the git history does not contain it", flush=True)
                continue
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as sources:
                sources.extractall(Path(folder, commit), filter="data")
            found[name] = Path(folder, commit)
        yield found


def measure(stride: int, roots: dict[str, Path]) -> dict[tuple[str, str], list[float]]:
    """Returns CPU seconds by (version, work), one value a round."""
    workers = {name: Worker(root, stride) for name, root in roots.items()}
    workers[TWO_BLOCKS] = Worker(ROOT, stride, layers=2)
    jobs = [("now", work) for work in ("backbone_forward", "forward", "backbone")]
    jobs += [(name, "step") for name in workers]
    taken: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    try:
        for _ in range(ROUNDS):
            for name, work in jobs:
                taken[name, work].append(workers[name].cpu_s(work))
                print(f"stride {stride}: {work}, {name}: {taken[name, work][-1]:.2f} s CPU", flush=True)
    finally:
        for worker in workers.values():
            worker.end()
    return taken


def rows(stride: int, taken: dict[tuple[str, str], list[float]]) -> list[Row]:
    """Returns the results for one stride of the visual encoder."""
    side = 224 // stride
    cells = f"{side}×{side}"
    middle: dict[Any, float] = {key: statistics.median(values) for key, values in taken.items()}
    step, bare = taken["now", "step"], taken["now", "backbone"]
    detail = f"{middle['now', 'step']:.2f} s CPU against {middle['now', 'backbone']:.2f}, {{}} a frame"
    detail = detail.format(f"{25 * middle['now', 'step']:.0f} ms")
    forward, bare_forward = taken["now", "forward"], taken["now", "backbone_forward"]
    found = [
        ratio(
            f"{cells}: forward pass", forward, bare_forward, "× the backbone's", f"{middle['now', 'forward']:.2f} s CPU"
        ),
        ratio(f"{cells}: training step", step, bare, "× the backbone's", detail),
        ratio(
            f"{cells}: all but the backbone",
            [100 * (a - b) for a, b in zip(step, bare, strict=True)],
            step,
            "% of the step",
            predicted="at most 30 %",
        ),
    ]
    two = taken[TWO_BLOCKS, "step"]
    found.append(ratio(f"{cells}: step with two AST blocks", two, step, "× today's, which has one"))
    for name, commit in EARLIER.items():
        if (values := taken.get((name, "step"))) is not None:
            what, detail = f"{cells}: step, {name} ({commit})", f"{middle[name, 'step']:.2f} s CPU then"
            found.append(ratio(what, values, step, "× today's", detail, predicted="at least 1.3"))
            found.append(ratio(what, values, two, "× today's with two blocks, as it had"))
    return found


def main() -> None:
    """Measures and writes the results."""
    with earlier_versions() as earlier:
        found: list[Row] = []
        for stride in (16, 32):
            found += rows(stride, measure(stride, {"now": ROOT, **earlier}))
    if not earlier:
        found.append(single("earlier versions measured", 0, "of 2", "not in the git history"))
    write("step", found)


if __name__ == "__main__":
    main()
