"""Upsampling from cells to pixels. The interpolation is part of a metric: it changes results by points."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import Interpolation, Size

INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
CHUNK_PIXELS = 2**20


def upsample(maps: Tensor, size: Size, interpolation: Interpolation = "bilinear") -> Tensor:
    """Score maps at the evaluation size.

    The result for a map does not depend on the other maps of the batch, bit for bit.

    Args:
        maps: (N, h, w) scores of any floating type.
        size: (height, width) in pixels.
        interpolation: ``bilinear`` and ``bicubic`` sample between cell centres (align_corners=False);
            ``bilinear_corners`` and ``bicubic_corners`` align the centres of the outer cells with the corners of the
            frame (align_corners=True; EZ-VSL and FNAC use the former, SLAVC the latter).

    Returns:
        (N, height, width) float32; bicubic values can slightly exceed the range of the map.

    Raises:
        ConfigError: the interpolation is unknown.
    """
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f"Unknown interpolation {interpolation!r}: use one of {', '.join(INTERPOLATIONS)}.")
    mode, _, corners = interpolation.partition("_")
    cells = maps.float().contiguous()[:, None]
    return interpolate(cells, size, mode=mode, align_corners=bool(corners))[:, 0]


def for_each_chunk(
    work: Callable[[slice, Tensor], None], maps: Tensor, size: Size, interpolation: Interpolation = "bilinear"
) -> None:
    """Calls `work` with a few upsampled maps at a time, because all maps of a test set do not fit into memory.

    Args:
        work: takes which of the N maps, and their (n, P) float32 pixels; is called from several threads.
        maps: (N, h, w) scores.
        size: (height, width) in pixels.
        interpolation: see `upsample`.
    """
    for_each_slice(
        lambda chunk: work(chunk, upsample(maps[chunk], size, interpolation).flatten(1)), len(maps), size, maps.is_cpu
    )


def for_each_slice(work: Callable[[slice], None], count: int, size: Size, threads: bool) -> None:
    """Calls `work` with slices of a few maps each.

    As many slices run at once as torch has threads. Slices are independent, so these threads do not wait for each
    other, unlike those inside torch's short loops.

    Args:
        work: takes which of the maps; is called from several threads.
        count: number of maps.
        size: (height, width) after upsampling in pixels.
        threads: whether to use several threads, as on the CPU.
    """
    step = max(1, CHUNK_PIXELS // math.prod(size))
    chunks = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    inference = torch.is_inference_mode_enabled()  # a new thread starts without it

    def run(chunk: slice) -> None:
        with torch.inference_mode(inference):
            work(chunk)

    workers = min(torch.get_num_threads(), len(chunks)) if threads else 1
    if workers < 2:
        for chunk in chunks:
            run(chunk)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, chunks))
