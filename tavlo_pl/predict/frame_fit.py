"""How the frames of a video are fitted to the square input of a model, and its maps back to the frames."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from tavlo_pl.data import media
from tavlo_pl.predict.checks import Aspect


class FrameFit(NamedTuple):
    """The part of the square model input that contains the frame; the rest is black.

    Attributes:
        side: height and width of the square in pixels.
        height: height of the frame in the square in pixels.
        width: width of the frame in the square in pixels.
    """

    side: int
    height: int
    width: int

    @classmethod
    def of(cls, info: media.MediaInfo, side: int, aspect: Aspect) -> "FrameFit":
        """Fits the displayed frames of a video."""
        if aspect == "squash":
            return cls(side, side, side)
        height, width = info.height, info.width * info.pixel_aspect_ratio
        scale = side / max(height, width)
        return cls(side, max(1, round(height * scale)), max(1, round(width * scale)))

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left edge of the frame in the square in pixels."""
        return (self.side - self.height) // 2, (self.side - self.width) // 2

    def crop_maps(self, maps: Tensor) -> Tensor:
        """Resamples (..., h, w) heatmaps of the square to heatmaps of the frame, same shape."""
        if (self.height, self.width) == (self.side, self.side):
            return maps
        rows, columns = (
            (corner + (torch.arange(cells) + 0.5) * length / cells) * 2 / self.side - 1
            for corner, length, cells in zip(self.corner, (self.height, self.width), maps.shape[-2:], strict=True)
        )
        positions = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)
        flat = maps.flatten(0, -3)[:, None]
        grid = positions.expand(len(flat), -1, -1, -1).to(flat)
        cropped = grid_sample(flat, grid, padding_mode="border", align_corners=False)
        return cropped.reshape(maps.shape)

    def pad_frames(self, frames: Tensor) -> Tensor:
        """Pads (..., height, width) frames with black to (..., side, side)."""
        top, left = self.corner
        right, bottom = self.side - self.width - left, self.side - self.height - top
        return pad(frames, (left, right, top, bottom)) if (left, right, top, bottom) != (0, 0, 0, 0) else frames
