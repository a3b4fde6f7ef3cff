"""A tiny audio-visual model, for tests that need any model."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tavlo_pl.models.base import AVLocalizer


class Tiny(AVLocalizer):
    """One layer for the frames, one for the audio; the map is their cosine similarity.

    Args:
        width: number of features.
        mel_bands: mel bands of the spectrogram.
        loss_weight: factor of the loss.
    """

    def __init__(self, width: int = 4, mel_bands: int = 16, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.visual = nn.Conv2d(3, width, 8, stride=8)
        self.norm = nn.BatchNorm2d(width)  # its statistics change in every forward pass of training
        self.audio = nn.Linear(mel_bands, width)
        self.loss_weight = loss_weight

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine similarity of each cell and the audio of its segment."""
        batch, segments = frames.shape[:2]
        cells = self.norm(self.visual(frames.flatten(0, 1).float() / 255))
        audio = self.audio(spectrogram[:, 0].unflatten(-1, (segments, -1)).mean(-1).transpose(1, 2))  # (B, T, D)
        cells = normalize(cells, dim=1).unflatten(0, (batch, segments))
        return torch.einsum("btdhw,btd->bthw", cells, normalize(audio, dim=-1))

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """A loss that depends on every parameter."""
        return {"loss": -self.loss_weight * self.localize(frames, spectrogram).amax((-1, -2)).mean()}
