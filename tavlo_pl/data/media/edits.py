"""Reads the edit lists of MP4 and MOV files, as far as FFmpeg does not follow them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from tavlo_pl.data.media.container import MediaFile, MemoryFile, local_media
from tavlo_pl.errors import MediaError

_EMPTY = {0: 0xFFFFFFFF, 1: 0xFFFFFFFFFFFFFFFF}  # media time of an empty segment, by version of the box
_MAX_BYTES = 2**20


def check_edits(path: MediaFile) -> None:
    """Rejects an edit list with a pause: a segment without frames after the first one, which players show differently.

    Raises:
        MediaError: there is a pause.
    """
    with (
        local_media(path) as local,
        BytesIO(local.content) if isinstance(local, MemoryFile) else local.open("rb") as file,
    ):
        file.seek(0, 2)
        for name, begin, end in _boxes(file, 0, file.tell()):
            if name == b"moov" and any(_has_pause(file, *track[1:]) for track in _boxes(file, begin, end)):
                raise MediaError(
                    f"{path}: its edit list has a pause without frames, which players show differently; convert it "
                    "to an MP4 without an edit list"
                )


def _has_pause(file: BinaryIO, begin: int, end: int) -> bool:
    """Whether an edit list in a box, which is a track or another one, has an empty segment after the first."""
    for name, inner_begin, inner_end in _boxes(file, begin, end):
        if name != b"edts":
            continue
        for _, list_begin, list_end in _boxes(file, inner_begin, inner_end):
            file.seek(list_begin)
            content = file.read(min(list_end - list_begin, _MAX_BYTES))
            if len(content) < 8:
                return False
            version, count = content[0], struct.unpack_from(">I", content, 4)[0]
            form, size = (">QQI", 20) if version == 1 else (">III", 12)
            fits = min(count, (len(content) - 8) // size)
            times = [struct.unpack_from(form, content, 8 + size * number)[1] for number in range(fits)]
            if _EMPTY.get(version) in times[1:]:
                return True
    return False


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, and begin and end of the content, of the boxes in a range of a file."""
    while begin + 8 <= end:
        file.seek(begin)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        length = 8
        if size == 1 and len(head) == 16:
            size, length = struct.unpack_from(">Q", head, 8)[0], 16
        size = size or end - begin
        if size < length:
            return
        yield name, begin + length, min(begin + size, end)
        begin += size
