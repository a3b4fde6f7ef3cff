"""Binary masks as compressed bytes: some 500 bytes for a source on 640 x 360 pixels instead of 230,400."""

import zlib

import numpy as np
from numpy.typing import NDArray


def pack_mask(mask: NDArray[np.bool_]) -> bytes:
    """The bits of a mask of any shape, compressed."""
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def unpack_mask(packed: bytes, pixels: int) -> NDArray[np.bool_]:
    """(pixels,) bool, the mask in reading order.

    Raises:
        ValueError: the bytes are not those of a mask of this many pixels.
    """
    size = -(-pixels // 8)
    try:
        bits = np.frombuffer(
            zlib.decompressobj().decompress(packed, size + 1), np.uint8
        )  # a few bytes may unpack to any
    except zlib.error as error:
        raise ValueError(f"no packed mask ({error})") from error
    if len(bits) != size:
        more = "more than " if len(bits) > size else ""
        raise ValueError(f"a packed mask of {more}{8 * len(bits)} pixels instead of {pixels}")
    return np.unpackbits(bits, count=pixels).view(np.bool_)
