"""Training in one and two processes, and a cost model of an epoch of 200,000 clips on 8 and 64 GPUs.

Measured: steps of the light configuration in one process, and in two with averaged gradients (DDP over gloo, gathered
negatives) and the same number of clips each. Modelled: the cost of an epoch, from counts (multiplications, bytes of
gradient), from other benchmarks (clips per second and core from shards and MP4), and from assumptions: the rate that a
GPU reaches on this model, and the bandwidth of the network.
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
"""Batch of each process: a quarter of that of the demo, with its T and image size."""

NUM_CLIPS = 200_000
GPUS = (8, 64)
RATES_TFLOPS = (50, 150, 300)
"""Assumed rates of a GPU of 2022: convolutions in tf32, in bf16, and the best case."""
LINK_GB_S = 25
"""Assumed bandwidth: a network card of 200 Gbit/s per GPU."""
CLIPS_PER_GPU = 16


class Loss(torch.nn.Module):
    """The training loss as ``forward``, which DDP requires."""

    def __init__(self, model: TAVLO) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor, spectrogram: torch.Tensor) -> torch.Tensor:
        """Returns the scalar loss."""
        return self.model.training_loss(frames, spectrogram)["loss"]


def train(rank: int, num_processes: int) -> tuple[float, float]:
    """Elapsed and CPU seconds of the steps after the first one."""
    del rank, num_processes
    torch.manual_seed(0)
    config = ROOT / "configs/model/tavlo_light.yaml"
    model = build_tavlo(config, ShuffleNet(), objective={"gather_negatives": True}).train()
    loss = DistributedDataParallel(Loss(model))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    frames = torch.randint(0, 256, (CLIPS, SEGMENTS, 3, SIZE, SIZE), dtype=torch.uint8)
    spectrogram = torch.randn(CLIPS, 1, 64, SEGMENTS * 50)
    for number in range(STEPS + 1):
        if number == 1:
            torch.distributed.barrier()
            start = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss(frames, spectrogram).backward()
        optimizer.step()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def processes() -> list[Row]:
    """Compares one and two processes in alternating rounds."""
    elapsed: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for count in (1, 2):
            taken = run_processes(count, train)
            elapsed[count].append(max(wall_s for wall_s, _ in taken) / count)
            cpu[count].append(statistics.mean(cpu_s for _, cpu_s in taken))
    detail = f"{1000 * statistics.median(cpu[2]) / STEPS / CLIPS:.0f} ms CPU a clip"
    return [
        ratio("clips a second, two processes", elapsed[1], elapsed[2], "× one", predicted="1.8, on two idle cores"),
        ratio("CPU time a clip, two processes", cpu[2], cpu[1], "× one", detail, "1.1"),
    ]


def step_of_a_clip() -> tuple[float, float]:
    """TFLOP of a training step per clip (T = 10, 224 pixels), and GB of gradient."""
    with torch.device("meta"):
        model = build_tavlo(ROOT / "configs/model/tavlo.yaml", ResNet18(weights="none", stride=16))
        frames = torch.empty(2, 10, 3, 224, 224, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counted:
            visual = model.attention.apply_blocks(model.encode_frames(frames)[0])
        weights = sum(p.numel() for p in model.parameters())
    if visual.shape != (2, 10, 196, 576):
        raise RuntimeError(f"unexpected shape of the visual tokens: {tuple(visual.shape)}")
    return 3 * counted.get_total_flops() / 2 / 1e12, 4 * weights / 1e9  # the gradient takes twice the forward pass


def modelled(name: str, value: float, unit: str, detail: str = "") -> Row:
    """Returns a result that is computed and not measured."""
    return single(f"*modelled*: {name}", value, unit, detail)


def cost() -> list[Row]:
    """Models the cost of an epoch of 200,000 clips."""
    tflop, gradient_gb = step_of_a_clip()
    rows = [
        single("counted: training step a clip", tflop, "TFLOP", "encoder and blocks, T = 10, 224 pixels, 14×14 cells"),
        single("counted: gradient", gradient_gb, "GB"),
    ]
    stored = {name: row for name, row in read("shards").items() if "clips a second and core" in row.unit}
    for gpus in GPUS:
        for rate in RATES_TFLOPS:
            compute_s = tflop / rate  # of a clip on one GPU
            batch = CLIPS_PER_GPU * gpus
            exchange_s = (
                2 * (gpus - 1) / gpus * gradient_gb / LINK_GB_S
            )  # ring all-reduce, of a step, none of it hidden
            step_s = CLIPS_PER_GPU * compute_s + exchange_s
            detail = f"batch {batch}, {100 * exchange_s / step_s:.0f} % of the time in the exchange of gradients"
            name = f"epoch of {NUM_CLIPS:,} clips, {gpus} GPUs at {rate} TFLOP/s each"
            rows.append(modelled(name, NUM_CLIPS / batch * step_s / 60, "minutes", detail))
            if gpus == GPUS[0]:
                for source, row in stored.items():
                    needed = 1 / compute_s / row.value
                    rows.append(modelled(f"cores that feed one GPU at {rate} TFLOP/s, {source}", needed, "cores"))
    return rows


def main() -> None:
    """Measures and models, and writes the results."""
    write("scaling", [*processes(), *cost()])


if __name__ == "__main__":
    main()
