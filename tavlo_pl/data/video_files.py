"""Video files below a folder, by clip id."""

import logging
from collections.abc import Sequence
from pathlib import Path

from tavlo_pl.data.clip_ids import ClipKey, clip_key
from tavlo_pl.errors import DatasetNotFoundError
from tavlo_pl.io.walk import walk_files

log = logging.getLogger(__name__)


def videos_below(root: Path) -> dict[ClipKey, Path]:
    """The files ``<id>_<start>.mp4`` below a folder, at any depth; of duplicate clips, the first by path.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    return {clip_key(path.stem): path for path in reversed(video_files(root))}


def video_files(root: Path) -> list[Path]:
    """All mp4 files below a folder, at any depth, sorted by path.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder; expected files <id>_<start>.mp4 in it.")
    return sorted(path for path in walk_files(root) if path.suffix == ".mp4" and path.name[0] != ".")


def report_missing(dataset: str, missing: Sequence[str], wanted: int, what: str) -> None:
    """Logs one line about missing clips; downloads of these datasets are rarely complete."""
    if missing:
        log.warning("%s: %d of %d clips have no %s (%s, ...).", dataset, len(missing), wanted, what, missing[0])
