"""Size, time and fingerprint of a video file, which are stored with its results: "finished" means this very file."""

import hashlib
import os
from pathlib import Path
from typing import Any

PIECES = 16
PIECE_BYTES = 2**16
"""The fingerprint is that of the whole file up to 1 MiB, and of 16 evenly spaced pieces of a larger one."""


def describe_source(path: Path) -> dict[str, Any]:
    """Returns ``bytes``, ``mtime_ns`` and ``sha256`` of a file.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        digest = hashlib.sha256(str(stat.st_size).encode())
        last = max(0, stat.st_size - PIECE_BYTES)
        starts = range(0, last + 1, PIECE_BYTES) if stat.st_size <= PIECES * PIECE_BYTES else None
        for start in starts or [last * piece // (PIECES - 1) for piece in range(PIECES)]:
            file.seek(start)
            digest.update(file.read(PIECE_BYTES))
        if starts is not None:
            digest.update(file.read())
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest.hexdigest()}


def is_same_source(stored: Any, path: Path) -> bool:
    """Whether a stored description is that of a file; the content is read only if size and time are equal.

    Args:
        stored: from `describe_source`, or any other value.
        path: the file, which may be missing.
    """
    try:
        stat = path.stat()
        known = isinstance(stored, dict) and (stored.get("bytes"), stored.get("mtime_ns"))
        return known == (stat.st_size, stat.st_mtime_ns) and stored == describe_source(path)
    except OSError:
        return False
