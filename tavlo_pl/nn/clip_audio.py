"""Audio encoders of image-level methods: one feature for a window of audio of any length."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision import models

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.audio import AudioEncoder, SegmentCNN
from tavlo_pl.nn.visual import resnet_trunk
from tavlo_pl.nn.waveform import require_spectrogram
from tavlo_pl.types import MEAN_DB, SPREAD_DB

DENSITY_PER_POWER = 2 * (512 / 2) ** 2 / (16_000 * 512 * 3 / 8)
"""One-sided density, 1/Hz, of a power of 1 under a Hann window of 512 samples at 16 kHz: 2 (Σw)² / (f_s Σw²)."""


class ClipAudioEncoder(nn.Module):
    """Base of the audio encoders of image-level methods: (N, 1, F, w) log-mel to (N, D_a).

    Attributes:
        width: feature width D_a.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class AudioResNet18(ClipAudioEncoder):
    """ResNet-18 with one input channel, randomly initialised, and global maximum pooling; D_a = 512.

    The audio encoder of LVS (arXiv 2104.02691) and of all methods that follow it.

    Args:
        values: scale of the input: ``batch`` is that of the batch, ``density`` the logarithm of the density that LVS,
            EZ-VSL, SLAVC and FNAC were trained on (`log_density`).
    """

    def __init__(self, values: Literal["batch", "density"] = "batch") -> None:
        super().__init__(width=512)
        self.values = values
        net = models.resnet18()
        net.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.trunk = resnet_trunk(net)

    def forward(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) log-mel to (N, 512)."""
        require_spectrogram(audio)
        if self.values == "density":
            audio = log_density(audio)
        features: Tensor = self.trunk(audio.contiguous(memory_format=torch.channels_last))
        return features.amax((-2, -1))


def log_density(spectrogram: Tensor) -> Tensor:
    """The batch's decibels (``data.clip.frequencies: linear``) as log(density + 1e-7) / 12.

    The authors use another window (Tukey, a quarter tapered): noise has the same level, a tone is 1.3 dB lower here.
    """
    power = 10 ** ((spectrogram * SPREAD_DB + MEAN_DB) / 10)
    return (power * DENSITY_PER_POWER + 1e-7).log() / 12


class SmallAudio(ClipAudioEncoder):
    """TAVLO's audio encoder applied to the whole window, for CPUs and for comparisons with equal encoders.

    Args:
        width: D_a.
        channels: output channels of the convolutions, each of which halves both axes.
    """

    def __init__(self, width: int = 64, channels: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__(width)
        self.encoder = SegmentCNN(width, channels)

    def forward(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) log-mel to (N, D_a)."""
        features: Tensor = self.encoder(audio, 1)
        return features[:, 0]


class MeanOfSegments(ClipAudioEncoder):
    """The mean of a segment encoder's features over a window, so that image-level methods can use it.

    Args:
        encoder: of the segments; it takes the waveform (`nn.pretrained`).

    Raises:
        ConfigError: the encoder takes a spectrogram, whose columns do not say how many segments a window has.
    """

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__(encoder.width)
        if encoder.takes != "waveform":
            raise ConfigError("MeanOfSegments needs an audio encoder that takes the waveform, such as YAMNet")
        self.encoder = encoder

    def forward(self, audio: Tensor) -> Tensor:
        """(N, 1, L / T, k) waveform of k segments to (N, D_a)."""
        features: Tensor = self.encoder(audio, audio.shape[-1])
        return features.mean(1)


def audio_windows(spectrogram: Tensor, segments: int, width: int) -> Tensor:
    """All windows of ``width`` consecutive segments.

    Args:
        spectrogram: (B, 1, F, W) log-mel; W a multiple of ``segments``.
        segments: T.
        width: k, segments of a window, at most T; T gives one window, the whole clip.

    Returns:
        (B, T - k + 1, 1, F, k W / T), a view.

    Raises:
        ConfigError: W is not a multiple of T.
    """
    columns = spectrogram.shape[-1]
    if columns % segments:
        raise ConfigError(f"a spectrogram of {columns} columns cannot be divided into {segments} equal segments")
    each = columns // segments
    return spectrogram.unfold(-1, width * each, each).movedim(3, 1)


def window_of_segment(segments: int, width: int) -> Tensor:
    """(T,) index of the window of `audio_windows` around each segment; at the ends the nearest complete window."""
    return (torch.arange(segments) - width // 2).clamp(0, segments - width)
