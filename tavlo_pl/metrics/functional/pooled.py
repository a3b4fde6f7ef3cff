"""Quantiles of the scores of all maps of a run, exact, without holding the upsampled maps in memory.

float32 scores have the order of their bits as integers (negative ones the reverse order), so scores can be counted in
bins of one float32 each. A sample of the pixels first gives a narrow interval around each quantile; one pass over all
maps then counts the scores below the interval and, one bin a float32, those inside. Where the interval has too many
float32 values (around 0, or where maps differ widely from the sample), two passes count by the upper and by the lower
16 bits.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional.thresholds import from_order, in_order
from tavlo_pl.metrics.functional.upsample import for_each_chunk, upsample
from tavlo_pl.metrics.protocols import Interpolation, PooledValues, Size

FEW_PIXELS = 2**20
"""Up to this number of pixels in all they are sorted."""

SAMPLED_MAPS = 1024
"""Number of maps whose pixels give the intervals."""

SAMPLED_PIXELS = 4096
"""Pixels of each of these maps."""

MARGIN = 0.015
"""Half the share of the sampled pixels that an interval holds."""

LARGEST_INTERVAL = 2**22
"""Maximum number of float32 values in an interval: 32 MiB of counts."""


def pooled_quantiles(
    maps: Tensor,
    quantiles: Sequence[Fraction],
    size: Size,
    interpolation: Interpolation = "bilinear",
    values: PooledValues = "pixels",
) -> list[float]:
    """For each q the score of rank floor(q M) among all M pooled scores in ascending order.

    Args:
        maps: (N, h, w) float32 raw scores, finite, on the CPU.
        quantiles: q, 0..1.
        size: (height, width) of the evaluation in pixels.
        interpolation: see `upsample`.
        values: what is pooled: the upsampled ``pixels``, the ``cells`` of the maps, or the ``maxima`` of the upsampled
            maps, one value a map.

    Raises:
        ConfigError: there are no maps.
    """
    if not len(maps):
        raise ConfigError(
            "A universal threshold is a quantile of the scores of all samples, or of those with a visible source, and "
            "there are none: give such frames too."
        )
    if values == "pixels":
        found = _of_pixels(maps, quantiles, size, interpolation)
    else:
        pool = maps.flatten() if values == "cells" else _maxima(maps, size, interpolation)
        ordered = np.sort(pool.numpy())
        found = [float(ordered[rank]) for rank in _ranks(quantiles, len(ordered))]
    return [value + 0.0 for value in found]  # -0.0 becomes 0.0


def universal_threshold(
    maps: Tensor,
    quantile: Fraction,
    size: Size,
    interpolation: Interpolation = "bilinear",
    values: PooledValues = "pixels",
) -> float:
    """One of `pooled_quantiles`."""
    return pooled_quantiles(maps, [quantile], size, interpolation, values)[0]


def _ranks(quantiles: Sequence[Fraction], count: int) -> list[int]:
    return [min(int(quantile * count), count - 1) for quantile in quantiles]


def _maxima(maps: Tensor, size: Size, interpolation: Interpolation) -> Tensor:
    """(N,) highest pixel of each map."""
    highest = torch.zeros(len(maps))

    def work(chunk: slice, pixels: Tensor) -> None:
        highest[chunk] = pixels.amax(1)

    for_each_chunk(work, maps, size, interpolation)
    return highest


def _of_pixels(maps: Tensor, quantiles: Sequence[Fraction], size: Size, interpolation: Interpolation) -> list[float]:
    ranks = _ranks(quantiles, len(maps) * math.prod(size))
    if len(maps) * math.prod(size) <= FEW_PIXELS:
        ordered = np.sort(upsample(maps, size, interpolation).flatten().numpy())
        return [float(ordered[rank]) for rank in ranks]
    narrow = [interval for interval in _intervals(maps, quantiles, size, interpolation) if interval is not None]
    known: dict[int, float] = {}
    for interval, (below, counts) in zip(narrow, _count(maps, narrow, size, interpolation), strict=True):
        ends = below + np.cumsum(counts)
        inside = [rank for rank in ranks if below <= rank < ends[-1]]
        places = np.searchsorted(ends, inside, side="right")
        known |= dict(zip(inside, from_order(interval[0] + places).tolist(), strict=True))
    return [known[rank] if rank in known else _in_two_passes(maps, rank, size, interpolation) for rank in ranks]


def _intervals(
    maps: Tensor, quantiles: Sequence[Fraction], size: Size, interpolation: Interpolation
) -> list[tuple[int, int] | None]:
    """For each quantile the lowest and highest place, in the order of all float32, of the interval around it.

    None where there would be too many float32 values in it.
    """
    step = max(1, len(maps) // SAMPLED_MAPS)
    stride = max(1, math.prod(size) // SAMPLED_PIXELS)
    parts: dict[int, np.ndarray] = {}

    def take(chunk: slice, pixels: Tensor) -> None:
        parts[chunk.start] = pixels.numpy()[:, ::stride].copy()

    for_each_chunk(take, maps[::step].contiguous(), size, interpolation)
    sampled = np.sort(np.concatenate([part.ravel() for part in parts.values()]))
    last = len(sampled) - 1
    found: list[tuple[int, int] | None] = []
    for quantile in quantiles:
        ends = [min(max(round((float(quantile) + side) * last), 0), last) for side in (-MARGIN, MARGIN)]
        low, high = in_order(sampled[ends]).tolist()
        found.append((low, high) if high - low < LARGEST_INTERVAL else None)
    return found


def _count(
    maps: Tensor, intervals: Sequence[tuple[int, int]], size: Size, interpolation: Interpolation
) -> list[tuple[int, np.ndarray]]:
    """For each interval the number of scores below it, and the count of each float32 inside."""
    below = [0] * len(intervals)
    counts = [np.zeros(high - low + 1, np.int64) for low, high in intervals]
    if not intervals:
        return []
    limits = [from_order(np.array(interval)) for interval in intervals]
    free = Lock()

    def work(_: slice, pixels: Tensor) -> None:
        scores = pixels.numpy().ravel()
        for k, (low, high) in enumerate(limits):
            under = int(np.count_nonzero(scores < low))
            inside = in_order(scores[(scores >= low) & (scores <= high)]) - intervals[k][0]
            with free:
                below[k] += under
                np.add.at(counts[k], inside, 1)

    for_each_chunk(work, maps, size, interpolation)
    return list(zip(below, counts, strict=True))


def _in_two_passes(maps: Tensor, rank: int, size: Size, interpolation: Interpolation) -> float:
    """The score of a rank, by counts of the upper 16 bits and of the lower 16 bits within one bucket of those."""
    order = np.r_[2**16 - 1 : 2**15 - 1 : -1, : 2**15]
    upper, rank = _bucket_of(_bucket_counts(maps, None, size, interpolation), order, rank)
    places = np.arange(2**16)
    lower_order = places[::-1] if upper >> 15 else places
    lower, _ = _bucket_of(_bucket_counts(maps, upper, size, interpolation), lower_order, rank)
    return float(np.uint32(upper << 16 | lower).view(np.float32))


def _bucket_counts(maps: Tensor, bucket: int | None, size: Size, interpolation: Interpolation) -> np.ndarray:
    """(65536,) int64 counts of upsampled scores by the upper 16 bits, or by the lower 16 bits within one bucket."""
    total, free = np.zeros(2**16, np.int64), Lock()

    def count(_: slice, pixels: Tensor) -> None:
        bits = pixels.numpy().ravel().view(np.uint32)
        upper = bits >> 16
        found = np.bincount(upper if bucket is None else bits[upper == bucket] & 0xFFFF, minlength=2**16)
        with free:
            np.add(total, found, out=total)

    for_each_chunk(count, maps, size, interpolation)
    return total


def _bucket_of(counts: np.ndarray, order: np.ndarray, rank: int) -> tuple[int, int]:
    """The bucket of the item of a rank, for buckets in the given order, and the item's rank within it."""
    ends = np.cumsum(counts[order])
    place = int(np.searchsorted(ends, rank, side="right"))
    bucket = int(order[place])
    return bucket, rank - int(ends[place] - counts[bucket])
