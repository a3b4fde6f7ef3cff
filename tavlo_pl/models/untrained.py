"""Baselines without training on audio-visual data: image saliency and motion.

The centred disk, the whole image and random maps are baselines of every test (``metrics/suite.py``).
"""

from abc import ABC
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.nn.guidance import ObjectPrior, min_max_normalize
from tavlo_pl.nn.visual import VisualEncoder


class Untrained(AVLocalizer, ABC):
    """Base of the localizers without trainable parameters."""

    @override
    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """There is no objective.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} has no parameters to train: test it with tavlo test -c CONFIG --allow_untrained"
        )


class ImageSaliency(Untrained):
    """Mean absolute feature of an ImageNet network, min-max normalised; independent of the audio.

    This is the object prior of EZ-VSL (arXiv 2203.09324) alone.

    Args:
        visual: encoder with ImageNet weights.

    Raises:
        ConfigError: the encoder has no ImageNet weights.
    """

    def __init__(self, visual: VisualEncoder) -> None:
        super().__init__()
        self.prior = ObjectPrior(visual)

    @override
    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) scores in [0, 1], independent of the audio."""
        return min_max_normalize(self.prior(frames))


class Motion(Untrained):
    """Motion energy of each cell, or its correlation over time with the loudness.

    Hershey and Movellan (NIPS 1999) correlate the changes of pixels with those of the loudness, without training. With
    one frame per segment, only slow changes are measured.

    Args:
        score: ``energy`` is the mean absolute difference to the neighbouring frames, independent of the audio;
            ``correlation`` is the correlation over time of that energy with the loudness.
        cells: side length of the map, in cells.
        window_segments: number of segments around each frame over which the correlation is computed.
    """

    def __init__(
        self, score: Literal["energy", "correlation"] = "energy", cells: int = 14, window_segments: int = 5
    ) -> None:
        super().__init__()
        self.score, self.cells, self.window_segments = score, cells, window_segments

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w): energy in [0, 1], or correlation in [-1, 1]."""
        energy = motion_energy(frames, self.cells)
        if self.score == "energy":
            return energy
        columns: Tensor = spectrogram.unflatten(-1, (frames.shape[1], -1))  # (B, 1, F, T, W/T)
        loudness = columns.mean((1, 2, 4))  # (B, T), decibels, scaled
        return sliding_correlation(energy, loudness[:, :, None, None], self.window_segments)


def motion_energy(frames: Tensor, cells: int) -> Tensor:
    """(B, T, 3, H, W) uint8 to (B, T, cells, cells) mean absolute difference to the adjacent frames, in [0, 1]."""
    steps = (frames[:, 1:].float() - frames[:, :-1].float()).abs().mean(2) / 255  # (B, T - 1, H, W)
    steps = adaptive_avg_pool2d(steps, cells)
    before, after = torch.cat([steps[:, :1], steps], 1), torch.cat([steps, steps[:, -1:]], 1)
    return (before + after) / 2


def sliding_correlation(first: Tensor, second: Tensor, width: int) -> Tensor:
    """Pearson correlation over a window around each segment; 0 where one of the two is constant.

    Args:
        first: (B, T, ...).
        second: (B, T, ...), broadcast against ``first``.
        width: number of segments of the window; fewer at the ends.

    Returns:
        (B, T, ...) in [-1, 1].
    """
    segments = first.shape[1]
    scores = []
    for middle in range(segments):
        span = slice(max(0, middle - width // 2), min(segments, middle + width // 2 + 1))
        a, b = (x[:, span] - x[:, span].mean(1, keepdim=True) for x in (first, second))
        spread = a.square().sum(1).sqrt() * b.square().sum(1).sqrt()
        scores.append(torch.where(spread > 1e-6, (a * b).sum(1) / spread.clamp(min=1e-6), 0.0))
    return torch.stack(scores, 1).clamp(-1, 1)
