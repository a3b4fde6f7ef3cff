"""Cost of factorised attention and of joint attention over a clip, as a function of T and of the number of cells.

One clip, forward and backward, CPU time of one thread. The curves are those of attention scores and weighted sums only,
with two heads of the model's width, because every head costs the same. At the largest size, whole AST blocks of the
model's width are compared too; the cost of their projections and MLP does not depend on the attention type. Exponents
are least-squares slopes of the logarithms.

Memory is measured with torch's kernels, which keep only a block of the scores in memory, and with the softmax written
out ("textbook"), which keeps all of them and is what papers count. Each is a process of its own.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.report import Row, cpu_s, grown_mib, ratio, single, write
from tavlo_pl.nn.attention import ASTBlock, AttentionType, Axis, as_sets

WIDTH, HEADS = 576, 8
CURVE_HEADS = 2
"""Number of heads of the curves."""
GRID = {"T": [(4, 196), (8, 196), (16, 196), (32, 196)], "cells": [(8, 49), (8, 100), (8, 196), (8, 400)]}
LARGEST = (32, 196)
ROUNDS = 2
AXES: dict[AttentionType, tuple[Axis, ...]] = {"factorised": ("spatial", "temporal"), "joint": ("joint",)}


def attention(kind: AttentionType, tokens: Tensor, textbook: bool = False) -> Tensor:
    """Attention scores and weighted sums of (1, T, S, D) tokens, which are queries, keys and values; same shape."""
    heads = tokens.shape[-1] * HEADS // WIDTH
    for axis in AXES[kind]:
        sets = as_sets(tokens, heads, axis)
        if textbook:
            mixed = (sets @ sets.mT / sets.shape[-1] ** 0.5).softmax(-1) @ sets
        else:
            mixed = scaled_dot_product_attention(sets, sets, sets)
        tokens = mixed.transpose(1, 2).reshape(tokens.shape)
    return tokens


def once(work: Callable[[Tensor], Tensor], segments: int, cells: int, heads: int = HEADS) -> float:
    """CPU seconds of one forward and backward pass."""
    tokens = torch.randn(1, segments, cells, WIDTH // HEADS * heads, requires_grad=True)
    return cpu_s(lambda: work(tokens).sum().backward())


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Least-squares exponent b of cost = a · size^b."""
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, costs)]).slope


def pairs(kind: AttentionType, segments: int, cells: int) -> int:
    """Number of pairs of tokens that attend to each other."""
    return segments * cells * (segments * cells if kind == "joint" else cells + segments)


def peak_mib(kind: AttentionType, textbook: bool) -> float:
    """Peak memory of a process that computes attention once, in MiB above its memory before."""
    command = [sys.executable, "-m", "benchmarks.attention", kind, *(["textbook"] if textbook else [])]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout))


def grown_by_attention_mib(kind: AttentionType, textbook: bool) -> float:
    """MiB that forward and backward pass of the largest size add to this process."""
    once(lambda tokens: attention(kind, tokens, textbook), 2, 16)
    tokens = torch.randn(1, *LARGEST, WIDTH, requires_grad=True)
    return grown_mib(lambda: attention(kind, tokens, textbook).sum().backward())


def main() -> None:
    """Measures and writes the results."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cores = {kind: partial(attention, kind) for kind in AXES}
    blocks = {kind: ASTBlock(WIDTH, HEADS, attention_type=kind) for kind in AXES}
    for kind in AXES:  # a small size first, which initializes kernels
        once(cores[kind], 2, 16)
        once(blocks[kind], 2, 16)
    curves: dict[tuple[AttentionType, tuple[int, int]], list[float]] = {}
    largest: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for kind in AXES:
            for size in {size for sweep in GRID.values() for size in sweep}:
                curves.setdefault((kind, size), []).append(once(cores[kind], *size, CURVE_HEADS))
            for what, works in (("attention", cores), ("block", blocks)):
                largest.setdefault((what, kind), []).append(once(works[kind], *LARGEST))
    found: list[Row] = []
    for kind in AXES:
        law = "T·HW·(T + HW)" if kind == "factorised" else "(T·HW)²"
        for axis, sweep in GRID.items():
            costs = [min(curves[kind, size]) for size in sweep]
            detail = ", ".join(f"{1000 * cost:.0f}" for cost in costs) + " ms CPU at T×HW = "
            detail += ", ".join(f"{t}×{s}" for t, s in sweep)
            name = f"{kind}, growing {axis}: exponent of {law}"
            found.append(single(name, slope([pairs(kind, *size) for size in sweep], costs), "", detail, "1"))
            claim = {"T": "1, for HW stays", "cells": "2, for there it is HW·(T + HW)"}
            if kind == "factorised":
                name = f"{kind}, growing {axis}: exponent of T·(HW + T)"
                found.append(single(name, slope([t * (s + t) for t, s in sweep], costs), "", "", claim[axis]))
    for what, predicted in (("attention", "27: the ratio of pairs"), ("block", "2.3: the ratio of multiplications")):
        joint, factorised = (largest[what, name] for name in ("joint", "factorised"))
        detail = f"{min(joint):.2f} s CPU against {min(factorised):.2f}"
        found.append(
            ratio(f"T = 32, 14×14: time of joint {what}", joint, factorised, "× factorised", detail, predicted)
        )
    for textbook in (True, False):
        way = "softmax written out" if textbook else "torch's kernels"
        joint_mib, factorised_mib = peak_mib("joint", textbook), peak_mib("factorised", textbook)
        detail = f"{joint_mib:.0f} MiB against {factorised_mib:.0f}"
        predicted = "at least 5" if textbook else "1: no kernel holds all pairs"
        name = f"T = 32, 14×14: memory of joint attention, {way}"
        found.append(single(name, joint_mib / factorised_mib, "× factorised", detail, predicted))
    write("attention", found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    match sys.argv[1:]:
        case [("factorised" | "joint") as kind, *rest]:
            print(grown_by_attention_mib(kind, "textbook" in rest))
        case _:
            main()
