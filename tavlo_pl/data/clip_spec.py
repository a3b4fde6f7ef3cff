"""The clip format that a model is trained on: segments, frame size and spectrogram."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import get_args

from torch import nn

from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.data.spectrogram import WINDOW_SAMPLES, Frequencies, LogMel, WaveformColumns
from tavlo_pl.errors import ConfigError

LEAST_SEGMENT_S = 0.02
"""Minimum length of a segment of a waveform: it has more samples than a spectrogram has bands (`nn.waveform`)."""


LARGEST = {
    "segments": (Integral, 10_000),
    "duration_s": (Real, 3600),
    "image_size": (Integral, 8192),
    "mel_bands": (Integral, 1024),
    "columns_per_segment": (Integral, 10_000),
}
"""Type and largest value of each number."""

MOST_PIXELS = 2**28
"""Largest number of pixels of all frames of a clip, some 0.8 GB."""


@dataclass(frozen=True)
class ClipSpec:
    """How a span of video becomes tensors; the data module and prediction use the same one.

    Args:
        segments: T, segments (and frames) of a clip.
        duration_s: length of a clip in seconds.
        image_size: height and width of the frames in pixels.
        mel_bands: F, frequency bands of the spectrogram.
        columns_per_segment: spectrogram columns of a segment.
        frequencies: ``mel``, ``linear`` for 257 frequencies from 0 Hz to 8 kHz instead of mel bands, or ``none`` for
            the waveform, which pretrained audio encoders need; the two options before are then ignored.

    Raises:
        ConfigError: a number is out of its range (`LARGEST`), the spectrogram columns do not cover the audio, or the
            segments of a waveform are shorter than 20 ms.
    """

    segments: int = 10
    duration_s: float = 10.0
    image_size: int = 224
    mel_bands: int = 64
    columns_per_segment: int = 100
    frequencies: Frequencies = "mel"

    def __post_init__(self) -> None:
        for name, (kind, largest) in LARGEST.items():
            value = getattr(self, name)
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not is_number:
                raise ConfigError(f"data.clip.{name} is {value!r}; it must be a number.")
            if not 0 < value <= largest:  # False for NaN
                raise ConfigError(f"data.clip.{name} is {value}; it must be positive, and at most {largest:,}.")
        if self.frequencies not in get_args(Frequencies):
            raise ConfigError(f"data.clip.frequencies is {self.frequencies!r}; give one of {get_args(Frequencies)}.")
        if self.segments * self.image_size**2 > MOST_PIXELS:
            raise ConfigError(
                f"data.clip.segments frames of data.clip.image_size have more than {MOST_PIXELS:,} pixels."
            )
        segment_s = self.duration_s / self.segments
        if segment_s * SAMPLE_RATE_HZ < 1:
            raise ConfigError(f"data.clip.duration_s is {self.duration_s}, so a segment has no audio sample.")
        if self.frequencies == "none":
            if segment_s < LEAST_SEGMENT_S:
                raise ConfigError(f"data.clip.segments is {self.segments}, so a segment has less than 20 ms of audio")
        elif segment_s * SAMPLE_RATE_HZ / self.columns_per_segment >= WINDOW_SAMPLES:
            least = int(segment_s * SAMPLE_RATE_HZ / WINDOW_SAMPLES) + 1
            raise ConfigError(
                f"data.clip.columns_per_segment is {self.columns_per_segment}, so the columns skip audio; "
                f"segments of {segment_s:g} s need at least {least}."
            )

    @property
    def samples(self) -> int:
        """L, audio samples of a clip."""
        return round(self.duration_s * SAMPLE_RATE_HZ)

    def audio_transform(self) -> nn.Module:
        """What makes the audio of a batch of (B, L) waveforms."""
        if self.frequencies == "none":
            return WaveformColumns(self.segments)
        return LogMel(self.segments, self.columns_per_segment, self.mel_bands, frequencies=self.frequencies)


DEFAULT_CLIP = ClipSpec()
"""10 segments in 10 s, frames of 224 x 224 pixels, 64 mel bands."""
