"""Clip ids of VGGSound and AVATAR: a YouTube id and a start second."""

from collections.abc import Collection
from pathlib import Path

from tavlo_pl.errors import DatasetNotFoundError
from tavlo_pl.io.parsing import read_text

MOST_DIGITS = 9
"""Maximum number of digits of a start in seconds."""

YOUTUBE_ID_LENGTH = 11

ClipKey = tuple[str, int | None]


def clip_key(name: str) -> ClipKey:
    """Id and start of ``<id>_<start>``, split at the last underscore, because ids can have underscores.

    The start is compared as a number: AVATAR writes five digits, VGGSound six.

    >>> clip_key("l_7B1wnTNtA_00020"), clip_key("l_7B1wnTNtA_000020.mp4"), clip_key("l_7B1wnTNtA")
    (('l_7B1wnTNtA', 20), ('l_7B1wnTNtA', 20), ('l_7B1wnTNtA', None))
    """
    name = name.removesuffix(".mp4")
    head, _, tail = name.rpartition("_")
    if head and tail.isdecimal() and len(tail) <= MOST_DIGITS and len(name) != YOUTUBE_ID_LENGTH:
        return head, int(tail)
    return name, None


def read_ids(path: Path) -> set[ClipKey]:
    """Reads a text file with one id or ``<id>_<start>`` per line.

    Raises:
        DatasetNotFoundError: the file does not exist.
        AnnotationError: the file is not text.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such list of clip ids; expected one id a line.")
    lines = read_text(path).split()
    return {clip_key(line) for line in lines}


def is_listed(key: ClipKey, ids: Collection[ClipKey]) -> bool:
    """Whether a clip is in a list of ids, by id and start or by id alone."""
    return key in ids or (key[0], None) in ids
