"""The smallest model that listens: for tests of everything around a model."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tavlo_pl.models.base import AVLocalizer


class Tiny(AVLocalizer):
    """One layer for the picture, one for the sound, their cosine as the map.

    Args:
        width: of the features.
        mel_bands: of the spectrogram.
        lr: peak learning rate.
    """

    def __init__(self, width: int = 4, mel_bands: int = 16, lr: float = 1e-2) -> None:
        super().__init__(lr=lr)
        self.see = nn.Conv2d(3, width, 8, stride=8)
        self.norm = nn.BatchNorm2d(width)  # state that moves in every forward pass of training
        self.hear = nn.Linear(mel_bands, width)

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine of each cell with its segment's sound."""
        batch, segments = frames.shape[:2]
        cells = self.norm(self.see(frames.flatten(0, 1).float() / 255))
        sound = self.hear(spectrogram[:, 0].unflatten(-1, (segments, -1)).mean(-1).transpose(1, 2))  # (B, T, D)
        cells = F.normalize(cells, dim=1).unflatten(0, (batch, segments))
        return torch.einsum("btdhw,btd->bthw", cells, F.normalize(sound, dim=-1))

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """A loss that every parameter takes part in."""
        return {"loss": -self.localize(frames, spectrogram).amax((-1, -2)).mean()}
