"""How much memory do a training step and the loss of a large batch take?   make bench

Each in a process of its own, one thread, largest resident size above that before. The allocator is told
to give freed memory back at once (glibc's MALLOC_MMAP_THRESHOLD_), so that the figure is that of the tensors; without
that, gaps in its heap add up to 0.1 GiB.
"""

import os
import subprocess
import sys

import torch
import yaml

from benchmarks.report import ROOT, Row, grown_mib, single, write
from tavlo_pl.losses.mil import Pool, pool_bag
from tavlo_pl.losses.mil_pooling import bag_scores
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.similarity import score_map
from tavlo_pl.nn.visual import ResNet18

POOLS: tuple[Pool, ...] = ("smooth_max", "mean")
CELLS, WIDTH = 196, 576


def step(recompute: str, precision: str) -> None:
    """Gradient of the recommended form at 224 pixels, T = 10, B = 2."""
    options = yaml.safe_load((ROOT / "configs/model/tavlo.yaml").read_text())["init_args"]
    visual = ResNet18(weights="none", stride=16)
    model = TAVLO(**options | {"visual": visual, "recompute": recompute}).train()
    TAVLO.global_step = 0  # type: ignore[assignment, misc]
    frames = torch.randint(0, 256, (2, 10, 3, 224, 224), dtype=torch.uint8)
    sound = torch.randn(2, 1, 64, 1000)

    def work() -> None:
        with torch.autocast("cpu", enabled=precision == "bf16"):
            loss = model.training_loss(frames, sound)["loss"]
        loss.backward()

    print(grown_mib(work))


def loss(way: str, clips: int, segments: int) -> None:
    """Bag scores of all sounds that the recommended form compares, and the gradient of all tokens."""
    visual = torch.empty(clips, segments, CELLS, WIDTH).uniform_(-1, 1).requires_grad_()
    sounds = torch.randn(2 * clips + 3, segments, WIDTH, requires_grad=True)
    own = torch.randn(2, clips, segments, WIDTH, requires_grad=True)

    def work() -> None:
        if way == "chunks":
            bags = bag_scores(sounds, own, visual, POOLS)
        else:
            scores = torch.cat([score_map(sounds[:, None].expand(-1, clips, -1, -1), visual), score_map(own, visual)])
            bags = torch.stack([pool_bag(scores, pool) for pool in POOLS])
        bags.square().sum().backward()

    print(grown_mib(work))


def peak_mib(*words: object) -> float:
    """MiB that one of the works above adds to its process."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, words)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return float(done.stdout)


def main() -> None:
    """Measures and writes."""
    plain = peak_mib("step", "none", "full")
    rows: list[Row] = []
    for name, words, claim in (
        ("AST blocks recomputed", ("blocks", "full"), "0.6"),
        ("blocks and backbone recomputed", ("all", "full"), "0.35"),
        ("bf16", ("none", "bf16"), "0.6: what is kept for the gradient halves, weights do not"),
    ):
        mib = peak_mib("step", *words)
        rows.append(
            single(f"training step, {name}", mib / plain, "× plain", f"{mib:.0f} MiB against {plain:.0f}", claim)
        )
    frame_mib = CELLS * WIDTH * 4 / 2**20
    for clips, segments in ((4, 4), (8, 4), (16, 4)):
        tokens_mib = clips * segments * frame_mib
        direct, chunks = (peak_mib("loss", way, clips, segments) for way in ("direct", "chunks"))
        told = f"{direct:.0f} MiB against {chunks:.0f}; the tokens have {tokens_mib:.0f}"
        rows.append(single(f"loss of B = {clips}, T = {segments}: all cosines", direct / chunks, "× in chunks", told))
    large = peak_mib("loss", "chunks", 64, 32)
    told = f"{large:.0f} MiB, of which {64 * 32 * frame_mib:.0f} are the gradient of the tokens"
    name = "loss of B = 64, T = 32, 14×14 in chunks, above the tokens"
    rows.append(single(name, large / 1024, "GiB", told, "under 1"))
    write("memory", rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    match sys.argv[1:]:
        case ["step", recompute, precision]:
            step(recompute, precision)
        case ["loss", way, clips, segments]:
            loss(way, int(clips), int(segments))
        case _:
            main()
