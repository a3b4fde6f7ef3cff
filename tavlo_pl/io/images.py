"""Opens images from untrusted files: of four formats, within a number of pixels that is checked before decoding.

Pillow recognises formats by content, whatever the name of the file, and runs Ghostscript for EPS.
"""

import struct
import zlib
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from tavlo_pl.io.parsing import is_image_size

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, struct.error, zlib.error)
"""Exceptions of Pillow for damaged files."""


def decode_image(content: bytes, mode: str) -> Image.Image:
    """Decodes an image.

    Args:
        content: of the file.
        mode: of Pillow, such as ``RGB``.

    Raises:
        ValueError: it is no image of `FORMATS`, damaged or too large.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if not is_image_size(image.height, image.width):
                raise ValueError(f"{image.width} x {image.height} pixels are more than any has")
            return image.convert(mode)
    except UnidentifiedImageError as error:
        raise ValueError(f"the content is none of {', '.join(FORMATS)}") from error
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
