"""Measures of maps that the probes use: pure functions from tensors to one value a clip."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.protocols import Size

FLAT = 1e-6
"""Scores that differ by less than this count as equal; rounding causes such differences."""


class Figure(NamedTuple):
    """A mean over clips with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Tensor, clip: Tensor | None = None) -> "Figure":
        """Bootstraps (N,) values of samples by the clip of each; without ``clip`` every value is of another clip."""
        column = values.double().numpy()[:, None]
        number = np.arange(len(column)) if clip is None else clip.numpy()
        low, high = bootstrap_interval(column, number)[:, 0].tolist()
        return cls(float(column.mean()), low, high)


class Shares(NamedTuple):
    """Contributions of the clips to the shares of the variance of the scores, (N,) each; the four means add up to 1."""

    position: Tensor
    frames: Tensor
    audio_level: Tensor
    audio_location: Tensor


class PairScores(NamedTuple):
    """Scores of pairs of frames and audio by the whole model.

    Attributes:
        matched: (N,) frames and audio of one clip.
        other_audio: (N, K) the frames of clip n with the audio of other clips.
        other_frames: (N, K) the audio of clip n with the frames of other clips.
    """

    matched: Tensor
    other_audio: Tensor
    other_frames: Tensor


def correlation(first: Tensor, second: Tensor, dims: int = 2) -> Tensor:
    """Pearson correlation over the last ``dims`` axes, which is invariant to offset and scale.

    It is 1 for two constant maps and 0 for a constant map and another.
    """
    one, two = (maps.double().flatten(-dims) for maps in (first, second))
    one, two = (maps - maps.mean(-1, keepdim=True) for maps in (one, two))
    spread_one, spread_two = (maps.square().mean(-1).sqrt() for maps in (one, two))
    pearson = (one * two).mean(-1) / (spread_one * spread_two).clamp(min=FLAT**2)
    flat_one, flat_two = spread_one < FLAT, spread_two < FLAT
    return torch.where(flat_one | flat_two, (flat_one & flat_two).double(), pearson)


def map_change(own: Tensor, other: Tensor) -> Tensor:
    """1 - correlation of the maps of each frame, mean over the frames: 0 for equal maps, 1 for uncorrelated maps.

    Args:
        own: (N, T, h, w).
        other: (N, T, h, w), or (N, K, T, h, w) of K perturbations, over which the mean is taken.

    Returns:
        (N,) float64 in 0..2.
    """
    if other.ndim > own.ndim:
        own = own[:, None]
    return (1 - correlation(own, other)).flatten(1).mean(1)


def peak(maps: Tensor) -> Tensor:
    """(..., T, h, w) to (..., T): the highest score of each frame."""
    return maps.double().flatten(-2).amax(-1)


def active_share(maps: Tensor, threshold: float, size: Size) -> Tensor:
    """(N, T, h, w) to (N, T): share of the pixels with a raw score of at least the threshold.

    Args:
        maps: raw scores.
        threshold: raw score.
        size: (height, width) in pixels to which the maps are upsampled.
    """
    return 1 - true_negative_share(maps.flatten(0, 1), threshold, size).reshape(maps.shape[:2])


def mean_where(values: Tensor, selected: Tensor) -> Tensor:
    """(N, T) values and mask to (M,): mean of the selected values of each clip that has any."""
    counts = selected.sum(1)
    means: Tensor = (values * selected).sum(1) / counts.clamp(min=1)
    return means[counts > 0]


def pair_scores(own: Tensor, mismatched: Tensor) -> PairScores:
    """Scores of matched and mismatched pairs of frames and audio; a score is the mean over time of the map's maximum.

    Args:
        own: (N, T, h, w).
        mismatched: (N, K, T, h, w); map k of clip n has the audio of clip (n + 1 + k) mod N.
    """
    matched, other_audio = peak(own).mean(-1), peak(mismatched).mean(-1)
    other_frames = torch.stack([column.roll(k + 1) for k, column in enumerate(other_audio.unbind(1))], 1)
    return PairScores(matched, other_audio, other_frames)


def retrieved(matched: Tensor, mismatched: Tensor) -> Tensor:
    """(N,) float64: 1 where the matched pair scores higher than its K mismatched pairs, 1 / (1 + ties) for ties."""
    lead = matched[:, None] - mismatched
    ties = (lead.abs() <= FLAT).sum(1)
    return torch.where((lead < -FLAT).any(1), 0.0, 1 / (1.0 + ties.double()))


def variance_shares(own: Tensor, mismatched: Tensor) -> Shares:
    """Decomposes the variance of the scores into parts of the position, the frames and the audio.

    Frame f (of any clip and segment) is combined with S = 1 + K audio signals s; x(f, s, c) is the score of cell c.

    - position: variance over c of the mean over all f and s, which is the map independent of both inputs;
    - audio: unbiased variance over s of x(f, s, c), mean over f and c. It consists of ``audio_level``, the variance of
      the mean over c (an offset of the whole map), and ``audio_location``, the rest: the audio determines which cells
      have high scores, which is audio-visual localization;
    - frames: mean square of the difference between the mean over s and the position's map, minus the 1 / S part of the
      audio variance in it.

    Args:
        own: (N, T, h, w).
        mismatched: (N, K, T, h, w), K >= 1.

    Returns:
        The four contributions of each clip, divided by the mean of their sum over all clips; 0 without variance.
    """
    scores = torch.cat([own[:, None], mismatched], 1).double()  # (N, S, T, h, w)
    mean_map = scores.mean((0, 1, 2))
    centred = mean_map - mean_map.mean()
    position = (scores.mean((1, 2)) * centred).mean((-2, -1))  # the mean over clips is the variance of `mean_map`
    audio = scores.var(1).mean((1, 2, 3))
    level = scores.mean((-2, -1)).var(1).mean(1)
    frames = (scores.mean(1) - mean_map).square().mean((1, 2, 3)) - audio / scores.shape[1]
    parts = torch.stack([position, frames, level, audio - level])
    total = parts.sum(0).mean()
    return Shares(*(parts / total if total > FLAT**2 else torch.zeros_like(parts)))


def temporal_variance(maps: Tensor) -> Tensor:
    """(N, T, h, w) to (N,): variance over time of the score of a cell, mean over the cells."""
    return maps.double().var(1, correction=0).mean((1, 2))
