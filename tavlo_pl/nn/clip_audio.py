"""Audio encoders of image-level methods: one feature for a whole stretch of sound, however long it is."""

import torch
from torch import Tensor, nn
from torchvision import models

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.audio import AudioEncoder
from tavlo_pl.nn.visual import resnet_trunk


class SoundEncoder(nn.Module):
    """Base: (N, 1, F, w) log-mel to (N, D_a).

    Attributes:
        width: feature width D_a.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class AudioResNet18(SoundEncoder):
    """ResNet-18 over one channel, from scratch, maximum over what is left; D_a = 512.

    The audio encoder of LVS (arXiv 2104.02691) and of all methods that follow it.
    """

    def __init__(self) -> None:
        super().__init__(width=512)
        net = models.resnet18()
        net.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.trunk = resnet_trunk(net)

    def forward(self, sounds: Tensor) -> Tensor:
        """(N, 1, F, w) log-mel to (N, 512)."""
        features: Tensor = self.trunk(sounds.contiguous(memory_format=torch.channels_last))
        return features.amax((-2, -1))


class SmallAudio(SoundEncoder):
    """TAVLO's audio encoder over the whole stretch at once: for two cores, and for equal terms with TAVLO there.

    Args:
        width: D_a.
        channels: of the convolutions, each of which halves both axes.
    """

    def __init__(self, width: int = 64, channels: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__(width)
        self.encoder = AudioEncoder(width, channels)

    def forward(self, sounds: Tensor) -> Tensor:
        """(N, 1, F, w) log-mel to (N, D_a)."""
        features: Tensor = self.encoder(sounds, 1)
        return features[:, 0]


def audio_windows(spectrogram: Tensor, segments: int, width: int) -> Tensor:
    """All stretches of ``width`` neighbouring segments.

    Args:
        spectrogram: (B, 1, F, W) log-mel; W a whole multiple of ``segments``.
        segments: T.
        width: k, segments of a stretch, at most T; T gives one stretch, the whole clip.

    Returns:
        (B, T - k + 1, 1, F, k W / T), a view.

    Raises:
        ConfigError: W is no multiple of T.
    """
    columns = spectrogram.shape[-1]
    if columns % segments:
        raise ConfigError(f"a spectrogram of {columns} columns cannot be cut into {segments} equal segments")
    each = columns // segments
    return spectrogram.unfold(-1, width * each, each).movedim(3, 1)


def window_of_segment(segments: int, width: int) -> Tensor:
    """(T,) which stretch of `audio_windows` lies around each segment; at the clip's ends the nearest whole one."""
    return (torch.arange(segments) - width // 2).clamp(0, segments - width)
