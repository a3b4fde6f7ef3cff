"""How does the cost of attention grow with T and with the cells: factorised, and joint over the whole clip?

Run it with ``make bench``.

One clip, forward and backward, processor time of one thread. The curves are those of the scores and
mixtures alone, with two heads as wide as the model's: every head costs the same. At the largest size whole AST blocks
of the model's width are compared too; their projections and MLP cost as much for every token whoever sees whom.
Exponents are least-squares slopes of the logarithms.

Scores of all pairs need not be in memory at once: torch's kernels hold a block of them. "textbook" memory is that of
the softmax written out, which is what a paper counts; both are measured, each in a process of its own.
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
from tavlo_pl.nn.attention import Among, ASTBlock, as_sets

WIDTH, HEADS = 576, 8
FEW = 2
"""Heads of the curves."""
GRID = {"T": [(4, 196), (8, 196), (16, 196), (32, 196)], "cells": [(8, 49), (8, 100), (8, 196), (8, 400)]}
LARGEST = (32, 196)
ROUNDS = 2
FORMS: dict[str, tuple[Among, ...]] = {"factorised": ("spatial", "temporal"), "joint": ("joint",)}


def attention(form: str, tokens: Tensor, textbook: bool = False) -> Tensor:
    """Scores and mixtures of (1, T, S, D) tokens, which are queries, keys and values at once."""
    heads = tokens.shape[-1] * HEADS // WIDTH
    for among in FORMS[form]:
        sets = as_sets(tokens, heads, among)
        if textbook:
            mixed = (sets @ sets.mT / sets.shape[-1] ** 0.5).softmax(-1) @ sets
        else:
            mixed = scaled_dot_product_attention(sets, sets, sets)
        tokens = mixed.transpose(1, 2).reshape(tokens.shape)
    return tokens


def once(work: Callable[[Tensor], Tensor], segments: int, cells: int, heads: int = HEADS) -> float:
    """Processor seconds of one forward and backward pass."""
    tokens = torch.randn(1, segments, cells, WIDTH // HEADS * heads, requires_grad=True)
    return cpu_s(lambda: work(tokens).sum().backward())


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Least-squares exponent b of cost = a · size^b."""
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, costs)]).slope


def pairs(form: str, segments: int, cells: int) -> int:
    """How many pairs of tokens see each other."""
    return segments * cells * (segments * cells if form == "joint" else cells + segments)


def peak_mib(form: str, textbook: bool) -> float:
    """Largest memory of a process that does attention once, above what it had before."""
    command = [sys.executable, "-m", "benchmarks.attention", form, *(["textbook"] if textbook else [])]
    freed_at_once = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=freed_at_once)
    return float(json.loads(done.stdout))


def measured_alone(form: str, textbook: bool) -> float:
    """MiB that forward and backward pass of the largest size add to this process."""
    once(lambda tokens: attention(form, tokens, textbook), 2, 16)
    tokens = torch.randn(1, *LARGEST, WIDTH, requires_grad=True)
    return grown_mib(lambda: attention(form, tokens, textbook).sum().backward())


def main() -> None:
    """Measures and writes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    alone = {form: partial(attention, form) for form in FORMS}
    blocks = {form: ASTBlock(WIDTH, HEADS, reach=form) for form in FORMS}  # type: ignore[arg-type]
    for form in FORMS:  # a small one first, which makes kernels ready
        once(alone[form], 2, 16)
        once(blocks[form], 2, 16)
    curves: dict[tuple[str, tuple[int, int]], list[float]] = {}
    largest: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for form in FORMS:
            for size in {size for sweep in GRID.values() for size in sweep}:
                curves.setdefault((form, size), []).append(once(alone[form], *size, FEW))
            for what, works in (("attention", alone), ("block", blocks)):
                largest.setdefault((what, form), []).append(once(works[form], *LARGEST))
    found: list[Row] = []
    for form in FORMS:
        law = "T·HW·(T + HW)" if form == "factorised" else "(T·HW)²"
        for axis, sweep in GRID.items():
            costs = [min(curves[form, size]) for size in sweep]
            told = ", ".join(f"{1000 * cost:.0f}" for cost in costs) + " ms CPU at T×HW = "
            told += ", ".join(f"{t}×{s}" for t, s in sweep)
            name = f"{form}, growing {axis}: exponent of {law}"
            found.append(single(name, slope([pairs(form, *size) for size in sweep], costs), "", told, "1"))
            claim = {"T": "1, for HW stays", "cells": "2, for there it is HW·(T + HW)"}
            if form == "factorised":
                name = f"{form}, growing {axis}: exponent of T·(HW + T)"
                found.append(single(name, slope([t * (s + t) for t, s in sweep], costs), "", "", claim[axis]))
    for what, claim in (("attention", "27: the ratio of pairs"), ("block", "2.3: the ratio of multiplications")):
        joint, factorised = (largest[what, form] for form in ("joint", "factorised"))
        told = f"{min(joint):.2f} s CPU against {min(factorised):.2f}"
        found.append(ratio(f"T = 32, 14×14: time of joint {what}", joint, factorised, "× factorised", told, claim))
    for textbook in (True, False):
        kind = "softmax written out" if textbook else "torch's kernels"
        joint_mib, factorised_mib = peak_mib("joint", textbook), peak_mib("factorised", textbook)
        told = f"{joint_mib:.0f} MiB against {factorised_mib:.0f}"
        claim = "at least 5" if textbook else "1: no kernel holds all pairs"
        name = f"T = 32, 14×14: memory of joint attention, {kind}"
        found.append(single(name, joint_mib / factorised_mib, "× factorised", told, claim))
    write("attention", found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(measured_alone(sys.argv[1], "textbook" in sys.argv)) if len(sys.argv) > 1 else main()
