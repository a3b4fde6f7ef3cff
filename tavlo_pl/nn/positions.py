"""Positional encodings of TAVLO: Pos_s is added to the visual features, Pos_t concatenated to both (section 3.3).

Sinusoids as in Vaswani et al. (arXiv 1706.03762); in space, half of the channels encode the row and half the column.
"""

from typing import Literal

import torch
from torch import Tensor, nn

PositionKind = Literal["sinusoidal", "learned"]


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sine and cosine of positions at ``width``/2 wavelengths.

    Args:
        positions: (N,) float.
        width: channels, even.

    Returns:
        (N, width) in [-1, 1].
    """
    rates = torch.exp(-torch.arange(0, width, 2, device=positions.device) / width * torch.log(torch.tensor(1e4)))
    angles = positions[:, None] * rates[None]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class SpatialEncoding(nn.Module):
    """Pos_s: one vector per cell, added to the feature.

    Args:
        width: D_f.
        kind: ``sinusoidal`` for any grid, or ``learned``: a grid of ``cells`` that is resampled to other sizes.
        cells: side of the learned grid.
    """

    def __init__(self, width: int, kind: PositionKind = "sinusoidal", cells: int = 14) -> None:
        super().__init__()
        self.width = width
        self.grid = nn.Parameter(0.02 * torch.randn(1, width, cells, cells)) if kind == "learned" else None

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, h, w) to the same shape, with the encoding added."""
        height, width = features.shape[-2:]
        if self.grid is not None:
            return features + nn.functional.interpolate(
                self.grid, (height, width), mode="bilinear", align_corners=False
            )
        even = (self.width + 3) // 4 * 2
        rows = sinusoids(torch.arange(height, device=features.device, dtype=torch.float32), even)
        columns = sinusoids(torch.arange(width, device=features.device, dtype=torch.float32), even)
        encoding = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1)
        return features + encoding[..., : self.width].permute(2, 0, 1).to(features.dtype)


class TemporalEncoding(nn.Module):
    """Pos_t: one vector per segment, concatenated to the feature.

    Args:
        width: D_t, even.
        kind: ``sinusoidal`` for any number of segments, or ``learned``: ``segments`` vectors, resampled to others.
        segments: number of vectors of the learned encoding.
    """

    def __init__(self, width: int, kind: PositionKind = "sinusoidal", segments: int = 10) -> None:
        super().__init__()
        self.width = width
        self.table = nn.Parameter(0.02 * torch.randn(1, width, segments)) if kind == "learned" else None

    def forward(self, segments: int, device: torch.device) -> Tensor:
        """(T, D_t) for T segments."""
        if self.table is not None:
            table = nn.functional.interpolate(self.table, segments, mode="linear", align_corners=False)
            return table[0].T
        return sinusoids(torch.arange(segments, device=device, dtype=torch.float32), self.width)
