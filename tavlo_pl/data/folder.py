"""Plain video files, as ``tavlo predict`` takes them: a folder, one file, or a pattern."""

import os
from collections import Counter
from glob import glob
from pathlib import Path

from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.media_open import VIDEO_SUFFIXES
from tavlo_pl.data.segments import window_starts
from tavlo_pl.errors import ConfigError, DatasetNotFoundError, MediaError


class Folder(ClipSource):
    """Every video, cut into windows of ``duration_s``.

    A longer video is covered by consecutive windows, the last of which ends with the video; a shorter one has
    one window, filled up with silence and the last frame. All windows of a video share its ``sample_id``: its
    path below the root without the suffix, ``/`` written as ``__``.

    Args:
        root: a folder (searched with everything below it), a file, or a glob pattern (``**`` allowed).
        duration_s: length of a window in seconds.

    Raises:
        DatasetNotFoundError: nothing there, or no video in it.
        ConfigError: two files whose names give the same ``sample_id``.
    """

    def __init__(self, root: str, duration_s: float) -> None:
        self.root = root
        self.duration_s = duration_s

    def clips(self) -> list[Clip]:
        """All windows of all videos, sorted by ``sample_id`` and start."""
        paths = self._paths()
        base = self.root if os.path.isdir(self.root) else os.path.commonpath([path.parent for path in paths])
        named = sorted(zip(_sample_ids(paths, base), paths, strict=True))
        return [clip for sample_id, path in named for clip in self._windows(sample_id, path)]

    def _paths(self) -> list[Path]:
        root = Path(self.root)
        if root.is_file():
            return [root]
        if root.is_dir():
            found = [path for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]
        else:
            found = [Path(name) for name in glob(self.root, recursive=True)]
        paths = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
        if not paths:
            raise DatasetNotFoundError(
                f"{self.root}: no video there; give a folder with videos "
                f"({', '.join(sorted(VIDEO_SUFFIXES))}), a file, or a quoted pattern such as 'clips/*.mp4'."
            )
        return paths

    def _windows(self, sample_id: str, path: Path) -> list[Clip]:
        try:
            video_s = media.probe(path).duration_s
        except MediaError:
            return [Clip(sample_id, path)]  # reading this window says what is wrong, as for every bad clip
        starts = window_starts(video_s, self.duration_s)
        return [
            Clip(sample_id, path, start_s, duration_s=video_s, window=(number, len(starts)))
            for number, start_s in enumerate(starts)
        ]


def _sample_ids(paths: list[Path], base: str) -> list[str]:
    """A name for each file: without the suffix, unless that leaves two files with the same name."""
    full = ["__".join(path.relative_to(base).parts) for path in paths]
    stems = [name.removesuffix(path.suffix) for name, path in zip(full, paths, strict=True)]
    shared = Counter(stems)
    names = [stem if shared[stem] == 1 else name for stem, name in zip(stems, full, strict=True)]
    for name, count in Counter(names).items():
        if count > 1:
            twins = [str(path) for path, other in zip(paths, names, strict=True) if other == name]
            raise ConfigError(f"{' and '.join(twins)} would both be called {name!r}; rename one of them.")
    return names
