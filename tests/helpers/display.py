"""Videos with a display matrix, and the images that a player shows."""

import struct
from pathlib import Path

import numpy as np

ONE = 1 << 16
CORNERS = np.array([[1, 2], [3, 4], [5, 6]])
"""Stands for a stored image of three rows and two columns."""

MATRICES: dict[str, tuple[tuple[int, int, int, int], np.ndarray]] = {
    "upright": ((1, 0, 0, 1), CORNERS),
    "mirrored": ((-1, 0, 0, 1), CORNERS[:, ::-1]),
    "upside down": ((1, 0, 0, -1), CORNERS[::-1]),
    "half turn": ((-1, 0, 0, -1), CORNERS[::-1, ::-1]),
    "clockwise": ((0, 1, -1, 0), np.rot90(CORNERS, -1)),
    "counterclockwise": ((0, -1, 1, 0), np.rot90(CORNERS)),
    "transposed": ((0, 1, 1, 0), CORNERS.T),
    "other diagonal": ((0, -1, -1, 0), CORNERS[::-1, ::-1].T),
}
"""a, b, c and d of the display matrix (displayed x = a x + c y, displayed y = b x + d y), and the displayed image."""


def quadrants() -> np.ndarray:
    """A (64, 96, 3) image whose three by two fields have the grey levels 40, 80, …, 240."""
    return np.kron(40 * CORNERS.reshape(3, 2), np.ones((22, 48)))[:64, :, None].repeat(3, 2).astype(np.uint8)


def levels(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The numbers of `CORNERS` that an image shows."""
    rows, columns = ((np.arange(count) + 0.5) / count for count in shape)
    height, width = image.shape[:2]
    found = image[(rows * height).astype(int)][:, (columns * width).astype(int)].mean(-1) / 40
    return np.rint(found).astype(int)


def set_matrix(path: Path, values: tuple[int, int, int, int]) -> None:
    """Replaces the display matrix of the first track of an MP4 file."""
    a, b, c, d = values
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
