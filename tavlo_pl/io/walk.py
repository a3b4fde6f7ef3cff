"""Recursive listing of files that follows links."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk_files(root: Path) -> Iterator[Path]:
    """Yields all files below a folder; links are followed, and each folder is visited once.

    Args:
        root: a folder.
    """
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:  # a link to a parent folder
            below.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        below.sort()  # sorted, so that of two paths to a folder every machine takes the same one
        yield from (Path(folder, name) for name in names)
