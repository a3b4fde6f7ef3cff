"""What does a second process give here, and what would 200,000 clips cost on 8 and 64 GPUs?

Run it with ``make bench``.

Measured: steps of the light form in one process and in two that average their gradients (DDP over gloo, negatives
gathered), the same number of clips each. Computed, and no more than that: a model of cost whose parts are counted
(multiplications, bytes of gradient), measured by the other benchmarks (clips a second and core from shards and mp4),
or assumed, as its rows say: the rate that a GPU reaches on this model and the network between them.
"""

import statistics
import time

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.model import build_tavlo
from benchmarks.report import ROOT, Row, ratio, read, single, write
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.visual import ResNet18, ShuffleNet
from tests.helpers.processes import run_processes

ROUNDS = 3
STEPS = 4
CLIPS, SEGMENTS, SIZE = 8, 8, 96
"""Of each process, as the demo has them, with a quarter of its batch."""

SET = 200_000
GPUS = (8, 64)
RATES_TFLOPS = (50, 150, 300)
"""Assumed: what a GPU of 2022 reaches with convolutions in tf32, in bf16, and at best."""
LINK_GB_S = 25
"""Assumed: a network card of 200 Gbit/s a GPU."""
GLOBAL_BATCH = 16


class Loss(torch.nn.Module):
    """The training loss as ``forward``, which is what DDP wraps."""

    def __init__(self, model: TAVLO) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor, sound: torch.Tensor) -> torch.Tensor:
        """Scalar."""
        return self.model.training_loss(frames, sound)["loss"]


def train(_rank: int, _processes: int) -> tuple[float, float]:
    """Wall and processor seconds of some steps after the first; every process does the same."""
    torch.manual_seed(0)
    config = ROOT / "configs/model/tavlo_light.yaml"
    model = build_tavlo(config, ShuffleNet(), objective={"gather_negatives": True}).train()
    loss = DistributedDataParallel(Loss(model))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    frames = torch.randint(0, 256, (CLIPS, SEGMENTS, 3, SIZE, SIZE), dtype=torch.uint8)
    sound = torch.randn(CLIPS, 1, 64, SEGMENTS * 50)
    for number in range(STEPS + 1):
        if number == 1:
            torch.distributed.barrier()
            start = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss(frames, sound).backward()
        optimizer.step()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def processes() -> list[Row]:
    """One and two processes, rounds alternating."""
    elapsed: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for count in (1, 2):
            taken = run_processes(count, train)
            elapsed[count].append(max(wall_s for wall_s, _ in taken) / count)
            cpu[count].append(statistics.mean(cpu_s for _, cpu_s in taken))
    told = f"{1000 * statistics.median(cpu[2]) / STEPS / CLIPS:.0f} ms CPU a clip"
    return [
        ratio("clips a second, two processes", elapsed[1], elapsed[2], "× one", predicted="1.8, on two idle cores"),
        ratio("processor time a clip, two processes", cpu[2], cpu[1], "× one", told, "1.1"),
    ]


def step_of_a_clip() -> tuple[float, float]:
    """TFLOP that a clip's part of the training step takes (T = 10, 224 pixels), and GB of gradient."""
    with torch.device("meta"):
        model = build_tavlo(ROOT / "configs/model/tavlo.yaml", ResNet18(weights="none", stride=16))
        frames = torch.empty(2, 10, 3, 224, 224, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counted:
            visual = model.attention.apply_blocks(model.encode_frames(frames)[0])
        weights = sum(p.numel() for p in model.parameters())
    assert visual.shape == (2, 10, 196, 576)
    return 3 * counted.get_total_flops() / 2 / 1e12, 4 * weights / 1e9  # the gradient takes twice the forward pass


def modelled(name: str, value: float, unit: str, detail: str = "") -> Row:
    """A figure that was computed and not measured."""
    return single(f"*modelled*: {name}", value, unit, detail)


def cost() -> list[Row]:
    """An epoch of 200,000 clips."""
    tflop, gradient_gb = step_of_a_clip()
    rows = [
        single("counted: training step a clip", tflop, "TFLOP", "encoder and blocks, T = 10, 224 pixels, 14×14 cells"),
        single("counted: gradient", gradient_gb, "GB"),
    ]
    stored = {name: row for name, row in read("shards").items() if "clips a second and core" in row.unit}
    for gpus in GPUS:
        for rate in RATES_TFLOPS:
            compute_s = tflop / rate  # of a clip on one GPU
            batch = GLOBAL_BATCH * gpus
            exchange_s = (
                2 * (gpus - 1) / gpus * gradient_gb / LINK_GB_S
            )  # ring all-reduce, of a step, none of it hidden
            step_s = GLOBAL_BATCH * compute_s + exchange_s
            told = f"batch {batch}, {100 * exchange_s / step_s:.0f} % of the time in the exchange of gradients"
            name = f"epoch of {SET:,} clips, {gpus} GPUs at {rate} TFLOP/s each"
            rows.append(modelled(name, SET / batch * step_s / 60, "minutes", told))
            if gpus == GPUS[0]:
                for source, row in stored.items():
                    needed = 1 / compute_s / row.value
                    rows.append(modelled(f"cores that feed one GPU at {rate} TFLOP/s, {source}", needed, "cores"))
    return rows


def main() -> None:
    """Measures, computes and writes."""
    write("scaling", [*processes(), *cost()])


if __name__ == "__main__":
    main()
