"""Sounds of which it is known what they belong to, made from a batch's own spectrograms.

All work on log-mel as the batch contract has it (``tavlo_pl.types``): decibels, shifted and scaled; -2 is silence.
"""

import math

import torch
from torch import Tensor

from tavlo_pl.types import SILENCE, SPREAD_DB

TO_POWER = 2 * math.log(10) * SPREAD_DB / 20
"""A step of 1 of the log-mel as a natural logarithm of power."""


PAUSE_DB = 20.0
"""How far below the loudest segment of its clip a pause lies."""


def shift(spectrogram: Tensor, segments: int, by: int) -> Tensor:
    """(B, 1, F, W): what was heard in segment t is heard in segment t + ``by``, around the clip's end."""
    return spectrogram.roll(by * (spectrogram.shape[-1] // segments), dims=-1)


def match_envelope(spectrogram: Tensor, other: Tensor, features: Tensor) -> Tensor:
    """The features of other sounds in the order that makes them loud when the first sounds are.

    The loudest segment comes where the first sound has its loudest, and so on down to the quietest: what is left to
    tell the two apart is what they sound like, not when.

    Args:
        spectrogram: (B, 1, F, W) of the first sounds.
        other: (B, 1, F, W) of the others.
        features: (B, T, ...) of the others, one for each segment.

    Returns:
        (B, T, ...), the same features in another order.
    """
    segments = features.shape[1]
    places = _power(spectrogram, segments).argsort(1).argsort(1)  # (B, T) rank of each segment
    chosen = _power(other, segments).argsort(1).gather(1, places)  # (B, T) the other's segment of that rank
    return features[torch.arange(len(features), device=features.device)[:, None], chosen]


def mix(first: Tensor, second: Tensor) -> Tensor:
    """(B, 1, F, W): both sounds at once; the powers of independent sources add."""
    return torch.logaddexp(first * TO_POWER, second * TO_POWER) / TO_POWER


def silent(spectrogram: Tensor, segments: int) -> Tensor:
    """(B, T) bool: the segments that lie more than `PAUSE_DB` below the loudest of their clip."""
    power = _power(spectrogram, segments)
    return power < power.amax(1, keepdim=True) * 10 ** (-PAUSE_DB / 10)


def quiet(like: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """(count, 1, F, W): silence first, then steady noise of random level and tilt.

    Args:
        like: (B, 1, F, W), for shape, type and device.
        count: K.
        draw: of level (up to 40 dB above silence), tilt (up to 20 dB over the bands) and grain.
    """
    _, _, bands, columns = like.shape
    level = 2 * torch.rand(count, 1, 1, 1, generator=draw)
    tilt = (torch.rand(count, 1, 1, 1, generator=draw) - 0.5) * torch.linspace(-1, 1, bands)[:, None]
    grain = 0.28 * torch.randn(count, 1, bands, columns, generator=draw)  # 5.6 dB: a Rayleigh amplitude in decibels
    sounds = (SILENCE + level + tilt + grain).clamp(min=SILENCE)
    sounds[:1] = SILENCE
    return sounds.to(like)


def _power(spectrogram: Tensor, segments: int) -> Tensor:
    """(B, T) mean power of each segment."""
    return (spectrogram * TO_POWER).exp().unflatten(-1, (segments, -1)).mean((1, 2, 4))
