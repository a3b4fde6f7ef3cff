"""Plain video files, the input of ``tavlo predict``: folders, files, or patterns."""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from tavlo_pl.data.media.live_input import LiveInput
from tavlo_pl.data.media.recognise import VIDEO_SUFFIXES
from tavlo_pl.data.sample_names import plain_names, sample_names
from tavlo_pl.data.video_files import OVERLAY_VIDEO, LeftOut, find_remote_videos, find_videos, select_videos
from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tavlo_pl.io import remote
from tavlo_pl.io.messages import one_line
from tavlo_pl.io.parsing import read_json
from tavlo_pl.io.remote import RemoteFile, VideoPath
from tavlo_pl.io.walk import walk_files


class VideoFolder:
    """All videos of some folders, files and patterns.

    Args:
        roots: folders (searched recursively, links are followed), files, or glob patterns (``**`` allowed); or their
            addresses (``s3://bucket/videos``).
        out: folder or address of predictions; videos in it are left out, unless it is a root itself.

    Attributes:
        left_out: the other files of the last search.
        renamed: path -> name of the videos whose own name cannot be used.
    """

    def __init__(self, roots: str | Sequence[str], out: str | Path | None = None) -> None:
        self.roots = [remote.plain(root) for root in ([roots] if isinstance(roots, str) else roots)]
        self.out = out
        self.left_out = LeftOut()
        self.renamed: dict[VideoPath, str] = {}

    def videos(self) -> list[tuple[str, VideoPath]]:
        """``sample_id`` and path of every video, sorted; see `sample_names`.

        Names are relative to the folder, or to the deepest common one of several files or folders.

        Raises:
            DatasetNotFoundError: a path does not exist or has no video.
            ConfigError: a path is the name of a camera or stream.
        """
        self.left_out = LeftOut()
        found = (path for root in self.roots for path in self._paths(root))
        paths = sorted({_place(path): path for path in found}.values(), key=str)
        places = [_place(path) for path in paths]
        if len(self.roots) == 1 and os.path.isdir(self.roots[0]):
            base = os.path.abspath(self.roots[0])
        elif len(self.roots) == 1 and all(place.startswith(f"{_place(self.roots[0])}/") for place in places):
            base = _place(self.roots[0])  # an address
        else:
            base = os.path.commonpath([os.path.dirname(place) for place in places])
        below = [Path(os.path.relpath(place, base)).as_posix() for place in places]
        names = sample_names(below)
        named = zip(names, paths, below, strict=True)
        self.renamed = {path: name for name, path, place in named if name not in plain_names(place)}
        return sorted(zip(names, paths, strict=True))

    def notes(self) -> list[str]:
        """Lines for the user about the last search: other files, and videos whose results have another name."""
        lines = [f"Files: {self.left_out}."] if self.left_out.reasons else []
        return lines + [
            one_line(f"Name: the results of {path} are called {name}.") for path, name in self.renamed.items()
        ]

    def _paths(self, root: str) -> Sequence[VideoPath]:
        if os.path.isfile(root):
            return [Path(root)]
        if remote.is_address(root) and not LiveInput.is_live(root):
            return self._remote(root)
        out = os.path.realpath(self.out) if self.out is not None and not _is_folder(root, self.out) else None
        if os.path.isdir(root):
            found = find_videos(Path(root), self.left_out, out=out)
        else:
            matches = _match(Path(root)) if "**" in Path(root).parts else map(Path, glob(root))
            files = (path for path in matches if not path.is_dir())
            found = select_videos(files, self.left_out, out=out)
        paths = []
        for path in found:
            if is_overlay_video(path):
                self.left_out.add(path, OVERLAY_VIDEO)
            else:
                paths.append(path)
        if not paths and LiveInput.is_live(root):
            name = remote.shown(root)
            raise ConfigError(f"{name} is a live input, and predict reads files; to see it live: tavlo live {name}")
        if not paths and not os.path.exists(root) and not has_magic(root):
            raise DatasetNotFoundError(f"{root}: no video there: no file or folder has this name; check it.")
        if not paths:
            more = f" ({self.left_out})" if self.left_out.reasons else ""
            raise DatasetNotFoundError(
                f"{root}: no video there{more}; give a folder with videos "
                f"({', '.join(sorted(VIDEO_SUFFIXES))}), a file, or a quoted pattern such as 'clips/*.mp4'."
            )
        return paths

    def _remote(self, root: str) -> list[RemoteFile]:
        out = str(self.out) if remote.is_address(str(self.out)) and str(self.out) != root.rstrip("/") else None
        found = find_remote_videos(root, self.left_out, out)
        if not found:
            more = f" ({self.left_out})" if self.left_out.reasons else ""
            raise DatasetNotFoundError(
                f"{root}: no video there{more}; give the address of a folder with videos "
                f"({', '.join(sorted(VIDEO_SUFFIXES))}), of a file, or a quoted pattern."
            )
        return found


def _place(path: VideoPath | str) -> str:
    """The absolute path of a file; that of an address begins with its protocol."""
    if isinstance(path, RemoteFile) or remote.is_address(path):
        return "/" + remote.link_of(str(path)).replace("://", "/", 1).rstrip("/")
    return os.path.abspath(path)


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


def _is_folder(root: str, folder: str | Path) -> bool:
    return os.path.realpath(root) == os.path.realpath(folder)


def is_overlay_video(path: Path) -> bool:
    """Whether ``<id>.sources.json`` beside a file states that ``<id>.mp4`` is an overlay video."""
    sources = path.with_name(f"{path.stem}.sources.json")
    if path.suffix != ".mp4" or not os.path.isfile(sources):
        return False
    try:
        content: Any = read_json(sources)
    except Exception:  # noqa: BLE001  # no file of this package
        return False
    made_with = content.get("made_with") if isinstance(content, dict) else None
    return isinstance(made_with, dict) and "spectrogram" in made_with
