"""Baselines: maps that need no model.

The baseline ``whole_image`` predicts every pixel under any rule, so its cIoU is the share of the image that the mask
covers.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.protocols import Size

RANDOM_CELLS = 7


def centred_disk(size: Size) -> Tensor:
    """(H, W) float32, minus the distance from the centre in pixels; any threshold gives a disk."""
    down, across = (torch.arange(side) - (side - 1) / 2 for side in size)
    return -torch.hypot(down[:, None], across[None, :])


def random_maps(index: Tensor, cells: int = RANDOM_CELLS) -> Tensor:
    """Uniform scores that depend on the index of the sample only, and not on batches or processes.

    Cell c of sample i is draw i·cells² + c of the SplitMix64 generator (Steele, Lea and Flood, 2014), which can compute
    any draw without the draws before it.

    Args:
        index: (N,) int64, >= 0.
        cells: cells a side.

    Returns:
        (N, cells, cells) float32 in [0, 1), on the CPU.
    """
    first = index.cpu().numpy().astype(np.uint64)[:, None] * np.uint64(cells**2)
    state: np.ndarray = (first + np.arange(1, cells**2 + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    uniform = (state >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
    return torch.from_numpy(uniform.reshape(-1, cells, cells))


WHOLE_IMAGE = "whole_image"

BASELINES: Mapping[str, Callable[[Tensor, Size], Tensor]] = {
    WHOLE_IMAGE: lambda _index, size: torch.ones(1, *size),  # at full size, because upsampling rounds
    "centred_disk": lambda _index, size: centred_disk(size)[None],
    "random": lambda index, _size: random_maps(index),
}
"""Name -> function of (N,) sample indices and (height, width) that returns (N, h, w) or (1, h, w) scores."""

SHARED = frozenset({WHOLE_IMAGE, "centred_disk"})
"""Baselines with one map for all samples."""
