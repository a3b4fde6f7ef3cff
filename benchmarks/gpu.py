"""Training of the recommended configuration on one GPU: clips per second, share of the matrix rate, memory, data rate.

224 pixels, T = 10 and 32, in fp32, tf32 and bf16, with and without ``torch.compile``. Without a GPU it prints a message
and exits with 0.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.model import build_tavlo
from benchmarks.report import ROOT, Row, read, single, write
from benchmarks.scaling import step_of_a_clip
from tavlo_pl.nn.visual import ResNet18

ROUNDS = 5
CLIPS = {10: 16, 32: 6}
"""Batch size by T; both have a similar number of frames."""
SIDE = 8192
PRECISIONS = ("fp32", "tf32", "bf16")


def seconds(work: Callable[[], object]) -> list[float]:
    """Seconds of each round, after two warm-up rounds."""
    taken = []
    for number in range(ROUNDS + 2):
        torch.cuda.synchronize()
        start_s = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if number >= 2:
            taken.append(time.perf_counter() - start_s)
    return taken


def set_precision(precision: str) -> None:
    """Enables tf32 in matrix products and convolutions for ``tf32``, disables it otherwise."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def matrix_tflops(precision: str) -> float:
    """TFLOP/s of the GPU for one large matrix product."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(SIDE, SIDE, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * SIDE**3 / statistics.median(seconds(lambda: one @ other)) / 1e12


def training(segments: int, precision: str, compiled: bool) -> tuple[list[float], float]:
    """Seconds of the training steps, and peak memory in GiB."""
    torch.compiler.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    visual, backend = ResNet18(weights="none", stride=16), "inductor" if compiled else None
    model = build_tavlo(ROOT / "configs/model/tavlo.yaml", visual, compile=backend).train().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    clips = CLIPS[segments]
    frames = torch.randint(0, 256, (clips, segments, 3, 224, 224), dtype=torch.uint8, device="cuda")
    spectrogram = torch.randn(clips, 1, 64, 100 * segments, device="cuda")

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model.training_loss(frames, spectrogram)["loss"]
        loss.backward()
        optimizer.step()

    return seconds(step), torch.cuda.max_memory_allocated() / 2**30


def main() -> int:
    """Measures and writes the results, if there is a GPU."""
    if not torch.cuda.is_available():
        print("gpu: torch finds no GPU, so nothing was measured.")
        return 0
    tflop_of_ten, _ = step_of_a_clip()
    shards = read("shards").get("from shards")
    rows: list[Row] = []
    for precision in PRECISIONS:
        set_precision(precision)
        limit = matrix_tflops(precision)
        rows.append(single(f"{precision}: product of {SIDE}² matrices", limit, "TFLOP/s", torch.cuda.get_device_name()))
        for segments, compiled in itertools.product(CLIPS, (False, True)):
            taken, gib = training(segments, precision, compiled)
            rates = sorted(CLIPS[segments] / s for s in taken)
            rate, tflop = statistics.median(rates), tflop_of_ten * segments / 10
            name = f"{precision}, T = {segments}, {'compiled' if compiled else 'not compiled'}"
            data_rate = f"{rate * segments * 224 * 224 * 3 / 1e6:.0f} MB/s of pixels" + (
                f", {rate / shards.value:.0f} cores from shards of T = 10" if shards else ""
            )
            share = [100 * tflop * r / limit for r in rates]
            rows.append(
                Row(f"{name}: rate", rate, rates[0], rates[-1], "clips a second", f"{gib:.1f} GiB; {data_rate}")
            )
            what = f"{name}: share of the matrix rate"
            rows.append(Row(what, statistics.median(share), share[0], share[-1], "%"))
    write("gpu", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
