"""What the probes measure of maps: pure functions from tensors to one figure a clip."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.offscreen import true_negative_share

FLAT = 1e-6
"""Scores that differ by less than this are the same: rounding makes as much."""


class Figure(NamedTuple):
    """A mean over clips with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Tensor, clip: Tensor | None = None) -> "Figure":
        """From (N,) values of samples and the clip of each; without ``clip`` every value is a clip of its own."""
        column = values.double().numpy()[:, None]
        number = np.arange(len(column)) if clip is None else clip.numpy()
        low, high = bootstrap_interval(column, number)[:, 0].tolist()
        return cls(float(column.mean()), low, high)


class Shares(NamedTuple):
    """What the clips contribute to the shares of the scores' variance, (N,) each; the four means add up to 1."""

    position: Tensor
    picture: Tensor
    sound_level: Tensor
    sound_where: Tensor


class PairScores(NamedTuple):
    """How well pairs of sound and picture fit, by the whole model.

    Attributes:
        matched: (N,) each clip with its own sound.
        other_sounds: (N, K) clip n's picture with the sounds of other clips.
        other_pictures: (N, K) clip n's sound with the pictures of other clips.
    """

    matched: Tensor
    other_sounds: Tensor
    other_pictures: Tensor


def correlation(first: Tensor, second: Tensor, dims: int = 2) -> Tensor:
    """Pearson correlation over the last ``dims`` axes: whether two maps have the same shape, at any level.

    Two flat maps agree (1); a flat one and another do not (0).
    """
    one, two = (maps.double().flatten(-dims) for maps in torch.broadcast_tensors(first, second))
    one, two = (maps - maps.mean(-1, keepdim=True) for maps in (one, two))
    spread = torch.stack([maps.square().mean(-1).sqrt() for maps in (one, two)])
    agreed = (one * two).mean(-1) / spread.prod(0).clamp(min=FLAT**2)
    flat = spread < FLAT
    return torch.where(flat.any(0), flat.all(0).double(), agreed)


def moved(own: Tensor, other: Tensor) -> Tensor:
    """How far maps move: 1 - correlation of each frame's map, so 0 stays and 1 has nothing left of it.

    Args:
        own: (N, T, h, w).
        other: (N, T, h, w), or (N, K, T, h, w) of K trials, over which the mean is taken.

    Returns:
        (N,) float64 in 0..2.
    """
    if other.ndim > own.ndim:
        own = own[:, None]
    return (1 - correlation(own, other)).flatten(1).mean(1)


def peak(maps: Tensor) -> Tensor:
    """(..., T, h, w) to (..., T): the highest score of each frame, that by which a pair is chosen."""
    return maps.double().flatten(-2).amax(-1)


def lit(maps: Tensor, threshold: float, size: int) -> Tensor:
    """(N, T, h, w) to (N, T): share of the pixels, ``size`` a side, that reach a raw score."""
    return 1 - true_negative_share(maps.flatten(0, 1), threshold, size).unflatten(0, maps.shape[:2])


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """(N, T) values and choice to (M,): mean of the chosen ones of each clip that has any."""
    counts = chosen.sum(1)
    return ((values * chosen).sum(1) / counts.clamp(min=1))[counts > 0]


def pair_scores(own: Tensor, wrong: Tensor) -> PairScores:
    """Every clip's sound and picture, fused, beside the same picture and the same sound fused with others.

    The score of a pair is the mean over time of the map's peak, as a retrieval by that model would have it.

    Args:
        own: (N, T, h, w).
        wrong: (N, K, T, h, w); map k of clip n has the sound of clip n + 1 + k, counted round.
    """
    matched, mismatched = peak(own).mean(-1), peak(wrong).mean(-1)
    by_sound = torch.stack([column.roll(k + 1) for k, column in enumerate(mismatched.unbind(1))], 1)
    return PairScores(matched, mismatched, by_sound)


def retrieved(matched: Tensor, mismatched: Tensor) -> Tensor:
    """(N,) float64: 1 where the matched pair beats its K mismatched ones; of ties it has its fair part."""
    lead = matched[:, None] - mismatched
    ties = (lead.abs() <= FLAT).sum(1)
    return torch.where((lead < -FLAT).any(1), 0.0, 1 / (1.0 + ties.double()))


def variance_shares(own: Tensor, wrong: Tensor) -> Shares:
    """Which part of the scores' variance comes from position alone, from the picture, from the sound.

    Frame f (of any clip and segment) is seen with S sounds s, its own and K others; x(f, s, c) is the score of cell c.

    - position: variance over c of the mean over all f and s, the map that the model draws whatever it sees and hears;
    - sound: variance over s of x(f, s, c), unbiased, mean over f and c. It is split into ``sound_level``, that
      of the mean over c (the whole map rises and falls), and ``sound_where``, the rest: what is heard decides which
      cells light, and that alone is localising by ear;
    - picture: mean square of what the mean over s adds to the position's map, less the sound's 1 / S part in it.

    Args:
        own: (N, T, h, w).
        wrong: (N, K, T, h, w), K >= 1.

    Returns:
        Each clip's part of the four, divided by the mean of their sum over all clips; 0 where there is no variance.
    """
    scores = torch.cat([own[:, None], wrong], 1).double()  # (N, S, T, h, w)
    place = scores.mean((0, 1, 2))
    tilt = place - place.mean()
    position = (scores.mean((1, 2)) * tilt).mean((-2, -1))  # a clip's part in it; the mean is the variance of `place`
    heard = scores.var(1).mean((1, 2, 3))
    level = scores.mean((-2, -1)).var(1).mean(1)
    seen = (scores.mean(1) - place).square().mean((1, 2, 3)) - heard / scores.shape[1]
    parts = torch.stack([position, seen, level, heard - level])
    total = parts.sum(0).mean()
    return Shares(*(parts / total if total > FLAT**2 else torch.zeros_like(parts)))


def over_time(maps: Tensor) -> Tensor:
    """(N, T, h, w) to (N,): variance of a cell's score over time, mean over the cells."""
    return maps.double().var(1, correction=0).mean((1, 2))
