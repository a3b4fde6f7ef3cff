"""Files below a folder, by links too."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk_files(root: Path) -> Iterator[Path]:
    """All files in whatever folders below; links are followed, and no folder is visited twice, however it is reached.

    Args:
        root: a folder.
    """
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:  # a link that leads back
            below.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        below.sort()  # of two ways to a folder the same one is taken on every machine
        yield from (Path(folder, name) for name in names)
