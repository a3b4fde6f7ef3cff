"""Video files below a folder: what counts as one for all commands, what is left out and why, and videos by clip id."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tavlo_pl.data.clip_ids import ClipKey, clip_key
from tavlo_pl.data.media.archive import is_archive
from tavlo_pl.data.media.recognise import has_video_suffix, is_hidden, is_unfinished, is_video
from tavlo_pl.errors import DatasetNotFoundError, MediaError
from tavlo_pl.io import remote
from tavlo_pl.io.remote import RemoteFile, VideoPath
from tavlo_pl.io.walk import walk_files

log = logging.getLogger(__name__)

NO_VIDEO = "no video"
BAD_NAME = "name not in UTF-8"
OVERLAY_VIDEO = "overlay video of tavlo predict"
SUFFIXES_SHOWN = 5
"""Maximum number of suffixes that a note names."""


@dataclass
class LeftOut:
    """Files and folders that are no videos to read, counted by reason.

    Attributes:
        reasons: number of files by reason; for `NO_VIDEO` see `suffixes`.
        suffixes: number of files that are no videos, by suffix.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)

    def add(self, path: VideoPath, reason: str) -> None:
        """Counts a file or folder."""
        self.reasons[reason] += 1
        if reason == NO_VIDEO:
            self.suffixes[path.suffix.lower() or "no suffix"] += 1

    def __str__(self) -> str:
        """``5 left out: 3 no video (.txt 2, .jpg 1), 2 hidden``; empty if there are none."""
        if not self.reasons:
            return ""
        shown = [f"{suffix} {count:,}" for suffix, count in self.suffixes.most_common(SUFFIXES_SHOWN)]
        shown += ["…"] * (len(self.suffixes) > SUFFIXES_SHOWN)
        parts = [
            f"{count:,} {reason}" + (f" ({', '.join(shown)})" if reason == NO_VIDEO else "")
            for reason, count in self.reasons.most_common()
        ]
        return f"{self.reasons.total():,} left out: {', '.join(parts)}"


def find_videos(root: Path, left_out: LeftOut, with_archives: bool = False, out: str | None = None) -> Iterator[Path]:
    """Yields the videos below a folder; links are followed, hidden folders are not visited.

    Args:
        root: a folder.
        left_out: see `select_videos`.
        with_archives: see `select_videos`.
        out: see `select_videos`.
    """
    return select_videos(walk_files(root, left_out.add), left_out, with_archives, out)


def select_videos(
    paths: Iterable[Path], left_out: LeftOut, with_archives: bool = False, out: str | None = None
) -> Iterator[Path]:
    """Yields the videos among some files; they are recognised by suffix or first bytes (`data.media.recognise`).

    Args:
        paths: the files.
        left_out: all others are counted there.
        with_archives: yield tar archives too.
        out: real path of an output folder, whose files are neither yielded nor counted.
    """
    for path in paths:
        if out is not None and os.path.realpath(path).startswith(out + os.sep):
            continue
        reason = why_left_out(path)
        if reason and not (with_archives and reason == NO_VIDEO and is_archive(path)):
            left_out.add(path, reason)
        else:
            yield path


def find_remote_videos(address: str, left_out: LeftOut, out: str | None = None) -> list[RemoteFile]:
    """The videos at an address, sorted; no file is opened, so that videos are recognised by their suffix alone.

    Args:
        address: of a folder, a pattern, or a file, which may have any name.
        left_out: all others are counted there.
        out: address of an output folder, whose files are neither returned nor counted.

    Raises:
        ConfigError: see `remote.connect`.
        RunFailedError: the file system cannot be reached.
    """
    found = remote.find(address)
    if [file.address for file in found] == [address]:
        return found
    names = {remote.link_of(file.address) for file in found}
    folder = remote.link_of(address).rstrip("/")
    kept = []
    for file in found:
        if out is not None and remote.is_below(file.address, out):
            continue
        link = remote.link_of(file.address)
        if any(part.startswith(".") for part in link.split("/")[folder.count("/") :]):
            reason = "hidden"
        elif is_unfinished(file.name):
            reason = "unfinished download"
        elif f"{link.removesuffix('.mp4')}.sources.json" in names:
            reason = OVERLAY_VIDEO
        else:
            reason = "" if has_video_suffix(file.name) else NO_VIDEO
        if reason:
            left_out.add(file, reason)
        else:
            kept.append(file)
    return kept


def why_left_out(path: Path) -> str:
    """The reason why a path is no video to read; empty for a video."""
    if is_hidden(path.name):
        return "hidden"
    if not os.path.isfile(path):
        return "broken link" if path.is_symlink() else "not a regular file"
    if is_unfinished(path.name):
        return "unfinished download"
    try:
        return "" if is_video(path.name, path) else NO_VIDEO
    except MediaError:
        return "unreadable file without the suffix of a video"


def videos_below(root: Path, left_out: LeftOut | None = None) -> dict[ClipKey, Path]:
    """The videos ``<id>_<start>`` below a folder, at any depth; of duplicate clips, the first by path.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    return {clip_key(path.stem): path for path in reversed(video_files(root, left_out))}


def video_files(root: Path, left_out: LeftOut | None = None) -> list[Path]:
    """All videos below a folder, at any depth, sorted by path.

    Args:
        root: a folder.
        left_out: everything else is counted there, also videos whose names are not UTF-8 and fit no list.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    if not root.is_dir():
        advice = "; videos at an address are read by an index (tavlo data index)" if ":/" in str(root) else ""
        raise DatasetNotFoundError(f"{root}: no such folder; expected videos <id>_<start>.mp4 in it{advice}.")
    counted = LeftOut() if left_out is None else left_out
    found = sorted(find_videos(root, counted))
    for path in found:
        if not is_utf8(path.name):
            counted.add(path, BAD_NAME)
    if left_out is None and counted.reasons:
        log.info("%s: %s.", root, counted)
    return [path for path in found if is_utf8(path.name)]


def is_utf8(name: str) -> bool:
    """Whether the bytes of a file name are valid UTF-8; Python represents others by surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def report_missing(dataset: str, missing: Sequence[str], wanted: int, what: str) -> None:
    """Logs one line about missing clips; downloads of these datasets are rarely complete."""
    if missing:
        log.warning("%s: %d of %d clips have no %s (%s, ...).", dataset, len(missing), wanted, what, missing[0])
