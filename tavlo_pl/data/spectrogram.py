"""What a batch holds of the audio: a log-mel spectrogram whose columns belong to segments, or the waveform."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from tavlo_pl.data.segments import column_centres
from tavlo_pl.errors import ConfigError
from tavlo_pl.types import FLOOR_DB, MEAN_DB, SPREAD_DB

WINDOW_SAMPLES = 512
"""Hann window, 32 ms at 16 kHz; also the length of the Fourier transform."""

LOWEST_HZ = 50.0

Frequencies = Literal["mel", "linear", "none"]


class WaveformColumns(nn.Module):
    """The waveform with one column of samples per segment, for encoders that compute their own spectrogram.

    Whatever cuts, shifts or mixes spectrograms by segments does the same to these columns.

    Args:
        segments: T.
    """

    def __init__(self, segments: int) -> None:
        super().__init__()
        self.segments = segments

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, L) to (B, 1, L / T, T); a rest of less than T samples at the end is left out."""
        samples = waveform.shape[-1] // self.segments * self.segments
        columns: Tensor = waveform[:, :samples].unflatten(-1, (self.segments, -1)).mT[:, None]
        return columns


class LogMel(nn.Module):
    """Log-mel with W = segments x columns_per_segment columns, none of them shared by two segments.

    Column c is centred at sample (c + 0.5) * L / W, rounded, so segment t owns exactly the columns
    [t * columns_per_segment, (t + 1) * columns_per_segment). (A centred short-time Fourier transform has its
    first column at sample 0, half of it before the clip, and one column too many.) Beyond the clip's ends is
    silence. Values are (dB + 60) / 20, where a full-scale sine has about -6 dB.

    Args:
        segments: T.
        columns_per_segment: columns of a segment.
        mel_bands: F, on the Slaney scale from 50 Hz to half the sample rate.
        sample_rate_hz: of the waveform.
        frequencies: ``linear`` takes the 257 frequencies of the transform as they are, as the image-level peers do.

    Raises:
        ConfigError: so many bands that one holds no frequency of the transform.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        segments: int,
        columns_per_segment: int,
        mel_bands: int = 64,
        sample_rate_hz: int = 16_000,
        frequencies: Frequencies = "mel",
    ) -> None:
        super().__init__()
        self.columns = segments * columns_per_segment
        window = torch.hann_window(WINDOW_SAMPLES)
        self.register_buffer("window", window / window.sum(), persistent=False)
        bins = WINDOW_SAMPLES // 2 + 1
        if frequencies == "linear":
            self.register_buffer("filters", torch.eye(bins), persistent=False)
            return
        filters = melscale_fbanks(
            n_freqs=bins,
            f_min=LOWEST_HZ,
            f_max=sample_rate_hz / 2,
            n_mels=mel_bands,
            sample_rate=sample_rate_hz,
            mel_scale="slaney",
        )
        if not filters.any(dim=0).all():
            raise ConfigError(f"mel_bands {mel_bands} is too many for {bins} frequencies; choose fewer.")
        self.register_buffer("filters", filters, persistent=False)

    def margin_samples(self, samples: int) -> int:
        """How far beyond a segment's own samples its columns reach, on each side.

        Half a window less half a hop, and one sample for the rounding of the centres.

        Args:
            samples: L, the length of the waveform.
        """
        hop_samples = samples / self.columns
        return max(0, math.ceil((WINDOW_SAMPLES - hop_samples) / 2) + 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, L) waveform in [-1, 1] to (B, 1, F, W) standardised log-mel of the same floating type."""
        centres = torch.from_numpy(column_centres(self.columns, waveform.shape[-1])).to(waveform.device)
        return self.at(waveform, centres)

    def at(self, waveform: Tensor, centres: Tensor) -> Tensor:
        """`forward` with the samples (W,) at which the columns are centred."""
        half = WINDOW_SAMPLES // 2
        samples = centres[:, None] + torch.arange(WINDOW_SAMPLES, device=waveform.device)
        pieces = F.pad(waveform.float(), (half, half))[:, samples] * self.window  # (B, W, window)
        spectrum = torch.fft.rfft(pieces)  # (B, W, window // 2 + 1)
        power = spectrum.real.square() + spectrum.imag.square()
        decibel = 10 * torch.log10(power @ self.filters + 10 ** (FLOOR_DB / 10))  # (B, W, F)
        return ((decibel - MEAN_DB) / SPREAD_DB).mT[:, None].to(waveform.dtype)
