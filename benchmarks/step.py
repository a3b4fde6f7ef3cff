"""What do forward pass and training step cost above the bare backbone, and how much less than when they first landed?

Run it with ``make bench``.

The recommended form at 224 pixels, T = 10, B = 4, one thread; 14 x 14 cells as configured, and 7 x 7. Each
version runs in a process of its own that does one thing at a time on demand; rounds alternate between all of them and
count processor time without the kernel's, which is that of pages that a full machine takes and gives. A step is loss,
gradient, clipping, optimiser. Earlier versions come from git; without the history they are left out, and a line says
so.
"""

import io
import json
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
FIRST = {"first landed": "2d6b9f9", "first of this objective": "d0386c2"}
"""The first landed version had fewer sounds to encode; the second is the first with today's objective. Both have two
blocks, as is also measured of today's."""

TWO_BLOCKS = "now, two blocks"

WORK = """
import ctypes, json, os, pathlib, sys
root, stride, layers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, root)
import torch
from tavlo_pl.nn.visual import ResNet18
assert sys.modules["tavlo_pl"].__file__.startswith(root)
torch.set_num_threads(1)
torch.manual_seed(0)
config = pathlib.Path(root, "configs/model/tavlo.yaml")
visual = ResNet18(weights="none", stride=stride)
try:
    from benchmarks.model import build_tavlo
    model = build_tavlo(config, visual, {"num_layers": layers} if layers else {}).train()
except ImportError:  # an earlier version: the options of the model stand side by side
    import yaml
    from tavlo_pl.models.tavlo import TAVLO
    options = yaml.safe_load(config.read_text())["init_args"]
    options["layers"] = layers or options["layers"]
    model = TAVLO(**options | {"visual": visual}).train()
    model.__class__.global_step = 0
alone = type("Alone", (), {"estimated_stepping_batches": 100, "precision": "32-true", "training": True})()
model.trainer = alone  # which it refers to weakly
optimizer = model.configure_optimizers()["optimizer"]
frames = torch.randint(0, 256, (4, 10, 3, 224, 224), dtype=torch.uint8)
sound = torch.randn(4, 1, 64, 1000)
def step():
    loss = model.training_loss(frames, sound)["loss"]
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
def backbone():
    features = model.visual(frames.flatten(0, 1))
    features.backward(torch.ones_like(features))
def forward():
    with torch.no_grad():
        model.localize(frames, sound)
def backbone_forward():
    with torch.no_grad():
        model.visual(frames.flatten(0, 1))
give_back = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
all_clips, frames, sound = (frames, sound), frames[:2, :2], sound[:2, :, :, :200]
step()  # a small one first, which makes kernels and optimizer ready
frames, sound = all_clips
for name in sys.stdin:
    start = os.times().user
    globals()[name.strip()]()
    taken_s = os.times().user - start
    optimizer.zero_grad()
    give_back(0)  # while it waits, another version needs the memory
    print(json.dumps(taken_s), flush=True)
"""


class Worker:
    """A process that holds one version of the model."""

    def __init__(self, root: Path, stride: int, layers: int = 0) -> None:
        command = [sys.executable, "-c", WORK, str(root), str(stride), str(layers)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def cpu_s(self, work: str) -> float:
        """Processor time of one piece of work."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(work + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Ends the process."""
        self.process.communicate()


@contextmanager
def earlier_versions() -> Iterator[dict[str, Path]]:
    """Folders of the sources of earlier versions, as far as the history is here."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Path] = {}
        for name, commit in FIRST.items():
            command = ["git", "archive", commit, "tavlo_pl", "configs"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            if done.returncode:
                print(f"{name} ({commit}): left out, git has no such history here", flush=True)
                continue
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as sources:
                sources.extractall(Path(folder, commit), filter="data")
            found[name] = Path(folder, commit)
        yield found


def measure(stride: int, roots: dict[str, Path]) -> dict[tuple[str, str], list[float]]:
    """Processor seconds by (version, work), one for each round."""
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
    """The figures of one number of cells."""
    side = 224 // stride
    cells = f"{side}×{side}"
    middle: dict[Any, float] = {key: statistics.median(values) for key, values in taken.items()}
    step, bare = taken["now", "step"], taken["now", "backbone"]
    told = f"{middle['now', 'step']:.2f} s CPU against {middle['now', 'backbone']:.2f}, {{}} a frame"
    told = told.format(f"{25 * middle['now', 'step']:.0f} ms")
    forward, bare_forward = taken["now", "forward"], taken["now", "backbone_forward"]
    found = [
        ratio(
            f"{cells}: forward pass", forward, bare_forward, "× the backbone's", f"{middle['now', 'forward']:.2f} s CPU"
        ),
        ratio(f"{cells}: training step", step, bare, "× the backbone's", told),
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
    for name, commit in FIRST.items():
        if (values := taken.get((name, "step"))) is not None:
            what, told = f"{cells}: step, {name} ({commit})", f"{middle[name, 'step']:.2f} s CPU then"
            found.append(ratio(what, values, step, "× today's", told, predicted="at least 1.3"))
            found.append(ratio(what, values, two, "× today's with two blocks, as it had"))
    return found


def main() -> None:
    """Measures and writes."""
    with earlier_versions() as earlier:
        found: list[Row] = []
        for stride in (16, 32):
            found += rows(stride, measure(stride, {"now": ROOT, **earlier}))
    if not earlier:
        found.append(single("earlier versions measured", 0, "of 2", "no history here"))
    write("step", found)


if __name__ == "__main__":
    main()
