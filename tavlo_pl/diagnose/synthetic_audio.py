"""Synthetic audio without a visible source: a model should not produce high scores for it."""

import torch
from torch import Tensor

SPEECH_CORNER_HZ = 500.0
SPEECH_FALL_DB_PER_OCTAVE = 9.0
"""The long-term spectrum of speech: flat to 500 Hz, then falling (after Byrne et al., J. Acoust. Soc. Am. 96, 1994)."""

KINDS = ("silence", "white_noise", "speech_shaped_noise")


def synthetic_audio(waveform: Tensor, sample_rate_hz: int, seed: int = 0) -> dict[str, Tensor]:
    """Makes silence and two noises; the noises have the level of the clip that they replace.

    Args:
        waveform: (N, L) audio of the clips.
        sample_rate_hz: of the waveforms.
        seed: of the noises.

    Returns:
        (N, L) waveforms by the names in ``KINDS``.
    """
    white = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(seed))
    frequency_hz = torch.fft.rfftfreq(waveform.shape[-1], 1 / sample_rate_hz)
    octaves = torch.log2(frequency_hz.clamp(min=SPEECH_CORNER_HZ) / SPEECH_CORNER_HZ)
    gain = 10 ** (-SPEECH_FALL_DB_PER_OCTAVE / 20 * octaves)
    speech = torch.fft.irfft(torch.fft.rfft(white) * gain, n=waveform.shape[-1])
    level = _level(waveform)
    made = (torch.zeros_like(waveform), white / _level(white) * level, speech / _level(speech) * level)
    return dict(zip(KINDS, made, strict=True))


def _level(waveform: Tensor) -> Tensor:
    """(N, 1) root mean square."""
    return waveform.square().mean(-1, keepdim=True).sqrt()
