"""Audio negatives made from the audio and the features of a batch.

Spectrograms are log-mel as the batch contract defines it (``tavlo_pl.types``): decibels, shifted and scaled; -2 is
silence. Waveforms are in columns, one for each segment (`nn.waveform`). Random numbers come from torch's global
generator, which a training step seeds (``models/base.py``).
"""

import math

import torch
from torch import Tensor

from tavlo_pl.nn.waveform import is_waveform
from tavlo_pl.types import SILENCE, SPREAD_DB

TO_LOG_POWER = 2 * math.log(10) * SPREAD_DB / 20
"""Factor from a log-mel value to the natural logarithm of power."""

SILENCE_DB = 20.0
"""Decibels below the loudest segment of a clip from which on a segment counts as silent."""


NOISE_DBFS = (-90.0, -30.0)
"""Limits of the level of noise made as a waveform, in decibels below full scale."""


def silence_and_noise(like: Tensor, count: int) -> Tensor:
    """(K, 1, F, W): silence once, then steady noise of random level and spectral tilt.

    Args:
        like: (B, 1, F, W) audio of a batch, for kind, shape, type and device.
        count: K. Levels are drawn up to 40 dB above silence, tilts up to 20 dB over the bands.
    """
    if is_waveform(like):
        return _silent_and_noisy_waveforms(like, count)
    _, _, bands, columns = like.shape
    level = 2 * torch.rand(count, 1, 1, 1)
    tilt = (torch.rand(count, 1, 1, 1) - 0.5) * torch.linspace(-1, 1, bands)[:, None]
    grain = 0.28 * torch.randn(count, 1, bands, columns)  # 5.6 dB: the spread of a Rayleigh amplitude
    audio = (SILENCE + level + tilt + grain).clamp(min=SILENCE)
    audio[:1] = SILENCE
    return audio.to(like)


def _silent_and_noisy_waveforms(like: Tensor, count: int) -> Tensor:
    """`silence_and_noise` for waveforms; amplitudes follow frequency to a power between -1/2 and 1/2."""
    _, _, samples, segments = like.shape
    spectrum = torch.fft.rfft(torch.randn(count, samples * segments))
    frequency = torch.linspace(1 / spectrum.shape[-1], 1, spectrum.shape[-1])
    waveform = torch.fft.irfft(spectrum * frequency ** (torch.rand(count, 1) - 0.5), n=samples * segments)
    level = torch.empty(count, 1).uniform_(*NOISE_DBFS)
    waveform = waveform / waveform.square().mean(1, keepdim=True).sqrt() * 10 ** (level / 20)
    waveform[:1] = 0
    columns: Tensor = waveform.unflatten(1, (segments, samples)).mT[:, None]
    return columns.to(like)


def time_shifted(features: Tensor, count: int, margin: int = 0) -> tuple[Tensor, Tensor]:
    """The features of every clip, first as they are, then shifted by K different random numbers of segments.

    Features that are shifted out at one end come back at the other. These segments are not valid, nor are those within
    the margin of an end: features that depend on where the clip ends could tell a shift without looking at the frames.

    Args:
        features: (B, T, D).
        count: K; at most as many shifts are returned as leave half of the segments within the margins valid.
        margin: segments at each end that are left out, for frames and audio.

    Returns:
        (1 + K, B, T, D) features and (1 + K, T) bool, the valid segments; of length 0 without any shift.
    """
    segments = features.shape[1]
    moments = torch.arange(segments)
    largest = (segments - 2 * margin) // 2
    shifts = [by for by in range(-largest, largest + 1) if by]
    chosen = [shifts[number] for number in torch.randperm(len(shifts))[:count].tolist()]
    if not chosen:
        return features.new_zeros(0, *features.shape), torch.zeros(
            0, segments, dtype=torch.bool, device=features.device
        )
    inner = (moments >= margin) & (moments < segments - margin)
    shifted = ((moments - by >= margin) & (moments - by < segments - margin) for by in chosen)
    valid = torch.stack([inner, *(inner & found for found in shifted)])
    return torch.stack([features.roll(by, 1) for by in (0, *chosen)]), valid.to(features.device)


def match_envelope(spectrogram: Tensor, other: Tensor, features: Tensor) -> Tensor:
    """Features of other audio, reordered so that their segments are ranked by power like those of the first audio.

    The loudest segment of the other audio moves to the loudest segment of the first, and so on, so that the two differ
    in their content, not in their timing.

    Args:
        spectrogram: (B, 1, F, W) of the first audio.
        other: (B, 1, F, W) of the other audio.
        features: (B, T, ...) of the other audio, one for each segment.

    Returns:
        (B, T, ...), the same features in another order.
    """
    segments = features.shape[1]
    ranks = segment_power(spectrogram, segments).argsort(1).argsort(1)  # (B, T)
    chosen = segment_power(other, segments).argsort(1).gather(1, ranks)  # (B, T) segment of the other with that rank
    return features[torch.arange(len(features), device=features.device)[:, None], chosen]


def silent_segments(spectrogram: Tensor, segments: int) -> Tensor:
    """(B, T) bool: segments more than `SILENCE_DB` below the loudest segment of their clip."""
    power = segment_power(spectrogram, segments)
    return power < power.amax(1, keepdim=True) * 10 ** (-SILENCE_DB / 10)


def segment_power(spectrogram: Tensor, segments: int) -> Tensor:
    """(B, T) mean power of each segment of (B, 1, F, W) audio."""
    if is_waveform(spectrogram):
        return spectrogram[:, 0].square().mean(1)
    power: Tensor = (spectrogram * TO_LOG_POWER).exp().unflatten(-1, (segments, -1))
    return power.mean((1, 2, 4))


def shift(spectrogram: Tensor, segments: int, by: int) -> Tensor:
    """(B, 1, F, W) spectrograms, rolled so that segment t moves to segment (t + ``by``) mod T."""
    return spectrogram.roll(by * (spectrogram.shape[-1] // segments), dims=-1)
