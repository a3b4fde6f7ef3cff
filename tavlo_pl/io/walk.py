"""Recursive listing of files that follows links."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def ignore(path: Path, reason: str) -> None:
    """The default of ``leave_out``."""
    del path, reason


def walk_files(root: Path, leave_out: Callable[[Path, str], object] = ignore) -> Iterator[Path]:
    """Yields all files below a folder; links are followed, each folder is visited once, hidden folders are not.

    Args:
        root: a folder.
        leave_out: called with each folder that is not visited, and the reason.
    """
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        leave_out(Path(error.filename or root), "unreadable folder")

    for folder, below, names in os.walk(root, onerror=unreadable, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:  # a link to a parent folder
            below.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        for name in [name for name in below if name.startswith(".")]:
            leave_out(Path(folder, name), "hidden folder")
            below.remove(name)
        below.sort()  # sorted, so that of two paths to a folder every machine takes the same one
        yield from (Path(folder, name) for name in names)
