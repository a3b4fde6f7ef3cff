"""Rows that need no training: what can be said about a clip without having learnt anything about sound.

A centred disk, the whole image and random maps are in every table anyway (``metrics/suite.py``).
"""

from abc import ABC
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.nn.guidance import ObjectPrior, stretched
from tavlo_pl.nn.visual import VisualEncoder


class Untrained(AVLocalizer, ABC):
    """A localizer that has nothing to learn."""

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """Nothing to minimise.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{type(self).__name__} has nothing to train: test it as it is, tavlo test -c CONFIG --allow_untrained"
        )


class ImageSaliency(Untrained):
    """Mean absolute feature of an ImageNet network, stretched to [0, 1]: where objects are, whatever is heard.

    The object prior of EZ-VSL (arXiv 2203.09324) alone.

    Args:
        visual: encoder with ImageNet weights.

    Raises:
        ConfigError: its weights could not be had.
    """

    def __init__(self, visual: VisualEncoder) -> None:
        super().__init__()
        self.prior = ObjectPrior(visual)

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) scores in [0, 1]; the sound takes no part."""
        return stretched(self.prior(frames))


class Motion(Untrained):
    """How much each cell changes from frame to frame, alone or as far as it goes with the sound.

    Audio-visual correlation without learning goes back to Hershey and Movellan (NIPS 1999): the pixels that change when
    the loudness changes. With one frame a segment only slow changes can be seen.

    Args:
        score: ``energy`` is the mean absolute difference to the neighbouring frames, the sound takes no part;
            ``correlation`` is the correlation over time of that energy with the loudness.
        cells: of the map, a side.
        window_segments: segments around each frame over which the correlation is taken.
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
        loudness = spectrogram.unflatten(-1, (frames.shape[1], -1)).mean((1, 2, 4))  # (B, T), decibels, scaled
        return sliding_correlation(energy, loudness[:, :, None, None], self.window_segments)


def motion_energy(frames: Tensor, cells: int) -> Tensor:
    """(B, T, 3, H, W) uint8 to (B, T, cells, cells) mean absolute difference to the frames beside, in [0, 1]."""
    steps = (frames[:, 1:].float() - frames[:, :-1].float()).abs().mean(2) / 255  # (B, T - 1, H, W)
    steps = adaptive_avg_pool2d(steps, cells)
    before, after = torch.cat([steps[:, :1], steps], 1), torch.cat([steps, steps[:, -1:]], 1)
    return (before + after) / 2


def sliding_correlation(first: Tensor, second: Tensor, width: int) -> Tensor:
    """Pearson correlation over the ``width`` segments around each; fewer at the ends, 0 where one does not change.

    Args:
        first: (B, T, ...).
        second: (B, T, ...), broadcast against ``first``.
        width: segments.

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
