"""Files that exist completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path, suffix: str = ".part") -> Iterator[Path]:
    """Where to write a file that is to appear under its name when it is complete and on the disk.

    After a full disk, a kill or a power cut the name leads to the file that was there before, or to none.

    Args:
        path: the name.
        suffix: of the name beside; one for each of several processes that may write the same file.

    Raises:
        OSError: with the name in it.
    """
    part = path.with_name(path.name + suffix)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the new name and old bytes
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Writes a text that is there as a whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")
