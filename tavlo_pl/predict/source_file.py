"""Size, time and fingerprint of a video file, which are stored with its results: "finished" means this very file."""

import hashlib
import os
from typing import Any

from tavlo_pl.io.remote import RemoteFile, VideoPath, on_disk

PIECES = 16
PIECE_BYTES = 2**16
"""The fingerprint is that of the whole file up to 1 MiB, and of 16 evenly spaced pieces of a larger one."""


def describe_source(path: VideoPath) -> dict[str, Any]:
    """Returns ``bytes``, ``mtime_ns`` and ``sha256`` of a file.

    Args:
        path: the file; the time of a remote one is that of its address.

    Raises:
        OSError: it cannot be read.
        MediaError: it cannot be read from its address.
    """
    with on_disk(path) as local, local.open("rb") as file:
        stat = os.fstat(file.fileno())
        changed_ns = path.mtime_ns if isinstance(path, RemoteFile) else stat.st_mtime_ns
        digest = hashlib.sha256(str(stat.st_size).encode())
        last = max(0, stat.st_size - PIECE_BYTES)
        starts = range(0, last + 1, PIECE_BYTES) if stat.st_size <= PIECES * PIECE_BYTES else None
        for start in starts or [last * piece // (PIECES - 1) for piece in range(PIECES)]:
            file.seek(start)
            digest.update(file.read(PIECE_BYTES))
        if starts is not None:
            digest.update(file.read())
    return {"bytes": stat.st_size, "mtime_ns": changed_ns, "sha256": digest.hexdigest()}


def is_same_source(stored: Any, path: VideoPath) -> bool:
    """Whether a stored description is that of a file; the content is read only if size and time are equal.

    A remote file is the same if size and time are; its content is not read.

    Args:
        stored: from `describe_source`, or any other value.
        path: the file, which may be missing.
    """
    known = isinstance(stored, dict) and (stored.get("bytes"), stored.get("mtime_ns"))
    if isinstance(path, RemoteFile):
        return known == (path.size, path.mtime_ns)
    try:
        stat = path.stat()
        return known == (stat.st_size, stat.st_mtime_ns) and stored == describe_source(path)
    except OSError:
        return False
