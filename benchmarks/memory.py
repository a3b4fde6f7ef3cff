"""Peak memory of a training step and of the loss of a large batch.

Each is a process of its own with one thread; the result is its peak resident size above that before the work. The
environment variable ``MALLOC_MMAP_THRESHOLD_`` of glibc makes the allocator return freed memory at once, so that the
result is the size of the tensors; without it, unused parts of the heap add up to 0.1 GiB.
"""

import os
import subprocess
import sys

import torch
from torch.utils.checkpoint import checkpoint

from benchmarks.model import build_tavlo
from benchmarks.report import ROOT, Row, grown_mib, single, write
from tavlo_pl.losses.mil import Pool, pool_bag
from tavlo_pl.losses.mil_pooling import bag_scores, chunk_scores, chunks
from tavlo_pl.nn.similarity import score_map
from tavlo_pl.nn.visual import ResNet18

POOLS: tuple[Pool, ...] = ("smooth_max", "mean")
CELLS, WIDTH = 196, 576


def step(checkpointing: str, precision: str) -> None:
    """Prints the MiB of loss and gradient of the recommended configuration at 224 pixels, T = 10, B = 2."""
    visual = ResNet18(weights="none", stride=16)
    config = ROOT / "configs/model/tavlo.yaml"
    model = build_tavlo(config, visual, activation_checkpointing=checkpointing).train()
    frames = torch.randint(0, 256, (2, 10, 3, 224, 224), dtype=torch.uint8)
    spectrogram = torch.randn(2, 1, 64, 1000)

    def work() -> None:
        with torch.autocast("cpu", enabled=precision == "bf16"):
            loss = model.training_loss(frames, spectrogram)["loss"]
        loss.backward()

    print(grown_mib(work))


def loss(way: str, clips: int, segments: int) -> None:
    """Prints the MiB of the bag scores of the recommended configuration and of the gradient of all tokens."""
    visual = torch.empty(clips, segments, CELLS, WIDTH).uniform_(-1, 1).requires_grad_()
    audio = torch.randn(2 * clips + 3, segments, WIDTH, requires_grad=True)
    local = torch.randn(2, clips, segments, WIDTH, requires_grad=True)

    def work() -> None:
        if way == "chunks":
            bags = bag_scores(audio, local, visual, POOLS)
        elif way == "checkpoint":
            size = next(chunks(len(audio) + len(local), visual)).stop
            parts = zip(local.split(size, dim=1), visual.split(size), strict=True)
            bags = torch.cat(
                [checkpoint(chunk_scores, POOLS, v, audio, a, use_reentrant=False) for a, v in parts], dim=2
            )
        else:
            scores = torch.cat([score_map(audio[:, None].expand(-1, clips, -1, -1), visual), score_map(local, visual)])
            bags = torch.stack([pool_bag(scores, pool) for pool in POOLS])
        bags.square().sum().backward()

    print(grown_mib(work))


def peak_mib(*words: object) -> float:
    """MiB that one of the functions above adds to its process."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, words)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return float(done.stdout)


def main() -> None:
    """Measures and writes the results."""
    plain = peak_mib("step", "none", "full")
    rows: list[Row] = []
    for name, words, claim in (
        ("activation checkpointing of the AST blocks", ("blocks", "full"), "0.6"),
        ("activation checkpointing of blocks and backbone", ("all", "full"), "0.35"),
        ("bf16", ("none", "bf16"), "0.6: what is kept for the gradient halves, weights do not"),
    ):
        mib = peak_mib("step", *words)
        rows.append(
            single(f"training step, {name}", mib / plain, "× plain", f"{mib:.0f} MiB against {plain:.0f}", claim)
        )
    frame_mib = CELLS * WIDTH * 4 / 2**20
    for clips, segments in ((4, 4), (8, 4), (16, 4)):
        tokens_mib = clips * segments * frame_mib
        direct, chunked = (peak_mib("loss", way, clips, segments) for way in ("direct", "chunks"))
        note = f"{direct:.0f} MiB against {chunked:.0f}; the tokens have {tokens_mib:.0f}"
        rows.append(single(f"loss of B = {clips}, T = {segments}: all cosines", direct / chunked, "× in chunks", note))
    library, chunked = (peak_mib("loss", way, 40, 10) for way in ("checkpoint", "chunks"))
    note = f"{library:.0f} MiB against {chunked:.0f}; the tokens have {400 * frame_mib:.0f}"
    rows.append(single("loss of B = 40, T = 10: torch.utils.checkpoint", library / chunked, "× in chunks", note))
    large = peak_mib("loss", "chunks", 64, 32)
    detail = f"{large:.0f} MiB, of which {64 * 32 * frame_mib:.0f} are the gradient of the tokens"
    name = "loss of B = 64, T = 32, 14×14 in chunks, above the tokens"
    rows.append(single(name, large / 1024, "GiB", detail, "under 1"))
    write("memory", rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    match sys.argv[1:]:
        case ["step", checkpointing, precision]:
            step(checkpointing, precision)
        case ["loss", way, clips, segments]:
            loss(way, int(clips), int(segments))
        case _:
            main()
