"""Functions of the readers of untrusted files: text and JSON within size limits, and checks of numbers."""

import json
import math
import re
from pathlib import Path
from typing import Any

from tavlo_pl.errors import AnnotationError
from tavlo_pl.io import files

LARGEST_FILE_BYTES = 256 * 2**20
"""Largest size of a list or an annotation; the longest published list, that of VGGSound, has 15 MB."""

LARGEST_FRAME_BYTES = 16 * 2**20
"""Largest size of the annotation of one frame; a hundred times that of the largest one in AVATAR."""

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Part of a character beyond 16 bits as JSON may write it; alone it is no character."""

LARGEST_NUMBER = 1e18
"""Largest absolute coordinate of an edge or a point. VGG-SS has an edge at -3e16."""

LARGEST_IMAGE_PIXELS = 2**26
"""Largest number of pixels of an annotated image or a mask."""


def read_text(path: Path, largest_bytes: int = LARGEST_FILE_BYTES) -> str:
    """Reads a text file in UTF-8, without byte-order marks.

    Args:
        path: of the file.
        largest_bytes: that it may have.

    Raises:
        AnnotationError: there is no such regular file, or it is too large or not UTF-8.
    """
    return files.read_text(path, largest_bytes, AnnotationError)


def read_json(path: Path, largest_bytes: int = LARGEST_FILE_BYTES) -> Any:
    """Reads the value of a JSON file.

    Args:
        path: of the file.
        largest_bytes: that it may have.

    Raises:
        AnnotationError: the file is not valid JSON, or a text in it is not Unicode.
    """
    text = read_text(path, largest_bytes)
    try:
        value = json.loads(text)
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # fails for half of a pair, which no file can store
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: no JSON file ({error}); unpack or download it again.") from error
    return value


def is_unicode(name: str) -> bool:
    """Whether a name of a file can be written to a UTF-8 file; the names of a disk may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number that can be a coordinate in an image."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= LARGEST_NUMBER  # False for NaN; an integer may be too long to become a float


def are_sizes(value: Any) -> bool:
    """Whether a JSON value is a list of integers >= 0."""
    return isinstance(value, list) and all(isinstance(n, int) and 0 <= n <= LARGEST_NUMBER for n in value)


def is_image_size(height: int, width: int) -> bool:
    """Whether an image can have this height and width."""
    return min(height, width) > 0 and math.prod((height, width)) <= LARGEST_IMAGE_PIXELS


def brief(value: Any) -> str:
    """Returns a short text of the value for a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; deeply nested lists
        text = f"a {type(value).__name__} too long to show"
    return text if len(text) <= 60 else text[:57] + "..."
