"""The waveform of a clip in the layout of a spectrogram, for encoders with a front end of their own.

With ``data.clip.frequencies: none`` a batch holds (B, 1, L / T, T) instead of (B, 1, F, W): one column of samples for
each segment (``data.spectrogram.WaveformColumns``).
"""

from torch import Tensor

from tavlo_pl.errors import ConfigError

LEAST_SAMPLES = 300
"""A column has at least this many samples: more than a spectrogram has bands."""


def from_columns(columns: Tensor, segments: int) -> Tensor:
    """(B, 1, L / T, T) to (B, L) samples.

    Raises:
        ConfigError: it is a spectrogram.
    """
    if columns.shape[-1] != segments or columns.shape[-2] < LEAST_SAMPLES:
        raise ConfigError("this audio encoder computes its own spectrogram: set data.clip.frequencies to none")
    return columns[:, 0].mT.flatten(1)


def require_spectrogram(spectrogram: Tensor) -> Tensor:
    """Returns its argument.

    Raises:
        ConfigError: it is a waveform in columns.
    """
    if is_waveform(spectrogram):
        raise ConfigError("this audio encoder needs a spectrogram: set data.clip.frequencies to mel or linear")
    return spectrogram


def is_waveform(columns: Tensor) -> bool:
    """Whether a batch holds waveforms instead of spectrograms."""
    return columns.shape[-2] >= LEAST_SAMPLES
