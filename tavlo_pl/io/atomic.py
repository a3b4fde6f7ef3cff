"""Atomic writes: a file exists completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path, suffix: str = ".part") -> Iterator[Path]:
    """Yields a temporary path; the file written there is flushed to the disk and renamed when the block ends.

    After a full disk, a kill or a power cut, ``path`` is the previous file, or does not exist.

    Args:
        path: final path of the file.
        suffix: appended to the name of the temporary file; use one per process where several may write the same file.

    Raises:
        OSError: writing failed; its ``filename`` is set.
    """
    part = path.with_name(path.name + suffix)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # otherwise a power cut may leave the new name with the old bytes
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
