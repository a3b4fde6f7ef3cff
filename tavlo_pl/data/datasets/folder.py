"""Plain video files, the input of ``tavlo predict``: a folder, one file, or a pattern."""

import os
from collections import Counter
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path

from tavlo_pl.data.media.container import VIDEO_SUFFIXES
from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tavlo_pl.io.walk import walk_files


class VideoFolder:
    """All videos of a folder, a file or a pattern.

    Args:
        root: a folder (searched recursively), a file, or a glob pattern (``**`` allowed).
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def videos(self) -> list[tuple[str, Path]]:
        """``sample_id`` and path of every video, sorted; no file is opened.

        The ``sample_id`` is the path below the root without the suffix, ``/`` written as ``__``.

        Raises:
            DatasetNotFoundError: the path does not exist or has no video.
            ConfigError: two files whose names give the same ``sample_id``.
        """
        paths = self._paths()
        base = self.root if os.path.isdir(self.root) else os.path.commonpath([path.parent for path in paths])
        return sorted(zip(_sample_ids(paths, base), paths, strict=True))

    def _paths(self) -> list[Path]:
        root = Path(self.root)
        if root.is_file():
            return [root]
        if root.is_dir():
            found = [path for path in walk_files(root) if path.suffix.lower() in VIDEO_SUFFIXES]
        elif "**" in root.parts:
            found = _match(root)
        else:
            found = [Path(name) for name in glob(self.root)]
        paths = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
        if not paths:
            raise DatasetNotFoundError(
                f"{self.root}: no video there; give a folder with videos "
                f"({', '.join(sorted(VIDEO_SUFFIXES))}), a file, or a quoted pattern such as 'clips/*.mp4'."
            )
        return paths


def _match(pattern: Path) -> list[Path]:
    """Files that match a pattern with ``**``, which stands for any folders; each once, whatever links there are."""
    number = next(n for n, part in enumerate(pattern.parts) if has_magic(part))
    base = Path(*pattern.parts[:number])
    if not base.is_dir():
        return []
    parts = pattern.parts[number:] if pattern.name != "**" else (*pattern.parts[number:], "*")
    return [path for path in walk_files(base) if _is_match(path.relative_to(base).parts, parts)]


def _is_match(names: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """Whether the parts of a path match those of a pattern."""
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_is_match(names[skipped:], patterns[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], patterns[0]) and _is_match(names[1:], patterns[1:])


def _sample_ids(paths: list[Path], base: str) -> list[str]:
    """A name for each file: without the suffix, unless two files would have the same name."""
    full = ["__".join(path.relative_to(base).parts) for path in paths]
    stems = [name.removesuffix(path.suffix) for name, path in zip(full, paths, strict=True)]
    shared = Counter(stems)
    names = [stem if shared[stem] == 1 else name for stem, name in zip(stems, full, strict=True)]
    for name, count in Counter(names).items():
        if count > 1:
            twins = [str(path) for path, other in zip(paths, names, strict=True) if other == name]
            raise ConfigError(f"{' and '.join(twins)} would both be called {name!r}; rename one of them.")
    return names
