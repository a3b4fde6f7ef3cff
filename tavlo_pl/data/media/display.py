"""Converts decoded frames to the images that a player displays: orientation, colour and shape of the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

RGB = 0
"""FFmpeg's number of the matrix of frames that are stored as RGB."""
_UNSPECIFIED = 2
_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
# Browsers take BT.709 for videos that do not state their matrix and have at least this width or height.
_HD_WIDTH, _HD_HEIGHT = 1280, 577


@dataclass(frozen=True)
class Orientation:
    """How a stored frame is turned to be displayed: one of four quarter turns, mirrored or not.

    Attributes:
        transposes: whether rows and columns are exchanged, first.
        flips_x: whether left and right are exchanged.
        flips_y: whether top and bottom are exchanged.
    """

    transposes: bool = False
    flips_x: bool = False
    flips_y: bool = False

    @property
    def is_mirrored(self) -> bool:
        """Whether writing in the frame is displayed mirrored as compared to the stored frame."""
        return self.transposes ^ self.flips_x ^ self.flips_y

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the displayed frame for that of the stored one, and the other way round."""
        return (width, height) if self.transposes else (height, width)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Turns a stored (H, W, ...) frame; returns a view."""
        image = image.swapaxes(0, 1) if self.transposes else image
        return image[:: -1 if self.flips_y else 1, :: -1 if self.flips_x else 1]


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation that the display matrix of a frame states; of other angles, the nearest quarter turn."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    # Of the nine 32-bit values, displayed x = a x + c y and displayed y = b x + d y.
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def pixel_aspect_ratio(video: VideoStream, turned: Orientation) -> Fraction:
    """Width divided by height of a pixel of the displayed frames; 1 if not stated."""
    pixel = video.codec_context.sample_aspect_ratio or video.sample_aspect_ratio or Fraction(1)
    return 1 / pixel if turned.transposes else pixel


@dataclass(frozen=True)
class Colour:
    """The colour of a video as its frames state it, in FFmpeg's numbers; 2 for values that are not stated.

    Attributes:
        matrix: matrix from RGB to YUV.
        range: 1 for limited and 2 for full range, 0 if not stated.
        primaries: colour primaries.
        transfer: transfer characteristic.
    """

    matrix: int
    range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Colour:
        """The colour of a frame."""
        return cls(int(frame.colorspace), int(frame.color_range), int(frame.color_primaries), int(frame.color_trc))


def guessed_matrix(height: int, width: int) -> Colorspace:
    """The matrix that browsers take for frames that state none: BT.601 for small ones, BT.709 for HD."""
    return Colorspace.ITU709 if width >= _HD_WIDTH or height >= _HD_HEIGHT else Colorspace.ITU601


def to_rgb(frame: VideoFrame, turned: Orientation, size: tuple[int, int], reformatter: VideoReformatter) -> np.ndarray:
    """Converts a frame to RGB as displayed.

    Args:
        frame: a decoded frame.
        turned: how it is displayed.
        size: (height, width) of the image in pixels; a larger or smaller frame is scaled by area averaging.
        reformatter: keeps the state of the conversion between frames.

    Returns:
        (H, W, 3) uint8, turned upright.
    """
    height, width = turned.size(*size)
    matrix = guessed_matrix(frame.height, frame.width) if int(frame.colorspace) == _UNSPECIFIED else None
    scaled = reformatter.reformat(
        frame,
        width,
        height,
        "rgb24",
        src_colorspace=matrix,
        interpolation=Interpolation.AREA,
        threads=1,
    )
    return turned.apply(scaled.to_ndarray())


def matrix_of(colour: Colour, height: int, width: int) -> Colorspace:
    """The matrix with which RGB frames are converted back to the colour of their source."""
    return _MATRIX.get(colour.matrix, guessed_matrix(height, width))
