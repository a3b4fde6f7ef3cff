"""Finds and probes the files of a data set, in folders and archives, in parallel, and resumes after an interruption."""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tavlo_pl.data import media
from tavlo_pl.data.media import archive
from tavlo_pl.data.video_files import LeftOut, find_remote_videos, find_videos
from tavlo_pl.engine.base import Engine
from tavlo_pl.errors import (
    ConfigError,
    CorruptMediaError,
    DatasetNotFoundError,
    EmptyMediaError,
    MediaError,
    NoAudioError,
    NotMediaError,
    NoVideoError,
    RunFailedError,
    SlowMediaError,
    UnreachableMediaError,
)
from tavlo_pl.io import remote

FAULTS: dict[type[MediaError], str] = {
    EmptyMediaError: "empty",
    NotMediaError: "no media",
    NoVideoError: "no video",
    NoAudioError: "no sound",
    CorruptMediaError: "damaged",
    SlowMediaError: "too slow",
    MediaError: "unreadable",
}
"""The kind of a reason, its first word, by exception class."""


@dataclass(frozen=True, slots=True)
class File:
    """A file on the disk or at an address, with size and time to detect changes.

    Attributes:
        path: of a video or of an archive; or the address of a video.
        file_bytes: its size.
        mtime_ns: time of its last change, in nanoseconds.
    """

    path: str
    file_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Probed:
    """Properties of one video; or of an archive that cannot be read to its end.

    Attributes:
        file: the video, or the archive that holds it.
        member: its name in the archive.
        fault: why it cannot be read, ``kind: sentence``; empty if it can.
        video_bytes: size of the video.
        video_s: length of its video stream in seconds.
        audio_s: end of its audio in seconds; None without an audio stream.
        width: of the frames in pixels.
        height: of the frames in pixels.
        frame_rate: average frames per second; 0 if unknown.
        frame_count: number of frames.
    """

    file: File
    member: str | None = None
    fault: str = ""
    video_bytes: int | None = None
    video_s: float | None = None
    audio_s: float | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    frame_count: int | None = None

    @property
    def where(self) -> str:
        """The video, for messages."""
        return self.file.path if self.member is None else archive.label(Path(self.file.path), self.member)


VideoTask = tuple[Probed, media.MediaFile]
"""A video to open, with its known properties."""


def find_files(roots: Iterable[str], left_out: LeftOut) -> list[File]:
    """Videos and archives below some folders, by path; see `find_videos`.

    Args:
        roots: folders, archives or videos; or addresses of videos and folders.
        left_out: all other files are counted there.

    Raises:
        DatasetNotFoundError: a file or folder does not exist, or none contains a video or an archive.
        ConfigError: there is no file system for an address.
        RunFailedError: the file system of an address cannot be reached.
    """
    roots = [remote.plain(root) for root in roots]
    addresses = [root for root in roots if remote.is_address(root)]
    paths = {path for root in roots if root not in addresses for path in _walk(Path(os.path.abspath(root)), left_out)}
    stats = ((str(path), path.stat()) for path in sorted(paths))
    files = [File(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    found = {file for address in addresses for file in find_remote_videos(address, left_out)}
    files += [File(file.address, file.size or 0, file.mtime_ns) for file in sorted(found)]
    if not files:
        more = f" ({left_out})" if left_out.reasons else ""
        raise DatasetNotFoundError(f"{', '.join(roots)}: no video and no tar archive there{more}; check --root.")
    return files


def _walk(root: Path, left_out: LeftOut) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder or archive; check --root.")
    yield from find_videos(root, left_out, with_archives=True)


class Journal:
    """Results of an earlier table and of an interrupted run; each new result is appended at once.

    Args:
        path: file of the journal; an incomplete last line of a killed run is removed.
        rows: of the earlier table, whose archives were all read completely.

    Raises:
        ConfigError: the journal is damaged.
    """

    def __init__(self, path: Path, rows: Iterable[Probed]) -> None:
        self.path = path
        self._known: dict[tuple[File, str | None], Probed] = {}
        self._inside: dict[File, list[Probed]] = {}
        self._whole: set[File] = set()
        for row in rows:
            self._remember(row)
            self._whole.add(row.file)
        text = path.read_bytes() if path.is_file() else b""
        self._kept = text.rfind(b"\n") + 1
        try:
            for line in text[: self._kept].splitlines():
                noted = json.loads(line)
                if noted.keys() == {"whole"}:
                    self._whole.add(File(**noted["whole"]))
                else:
                    self._remember(Probed(**{**noted, "file": File(**noted["file"])}))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ConfigError(f"{path} is damaged ({error}); remove it, and the videos are opened again") from error

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = self.path.open("ab")
        self._lines.truncate(self._kept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()

    def known(self, file: File, member: str | None) -> Probed | None:
        """The result of a video that did not change, if any."""
        return self._known.get((file, member))

    def known_inside(self, file: File) -> list[Probed] | None:
        """The results of an archive that was read completely and did not change, if any."""
        return self._inside.get(file, []) if file in self._whole else None

    def note(self, row: Probed) -> None:
        """Appends a new result."""
        if self.known(row.file, row.member) is None:
            self._remember(row)
            self._write(asdict(row))

    def note_whole(self, file: File) -> None:
        """Records that an archive was read completely."""
        if file not in self._whole:
            self._whole.add(file)
            self._write({"whole": asdict(file)})

    def remove(self) -> None:
        """Removes the journal, after the table has been written."""
        self.path.unlink(missing_ok=True)

    def _remember(self, row: Probed) -> None:
        self._known[row.file, row.member] = row
        if archive.is_archive(Path(row.file.path)):
            self._inside.setdefault(row.file, []).append(row)

    def _write(self, content: dict[str, object]) -> None:
        self._lines.write(json.dumps(content).encode() + b"\n")
        self._lines.flush()  # flushed, so that it survives a kill


def probe_files(files: Iterable[File], journal: Journal, engine: Engine) -> Iterator[Probed]:
    """Yields the result of each video, in the order of the files and of their archives, and records new ones.

    Args:
        files: videos and archives.
        journal: earlier results.
        engine: opens the videos.

    Raises:
        ConfigError: an archive is rejected (see `archive.members`).
        RunFailedError: a process died.
    """
    before: deque[Probed | File | None] = deque()  # what comes before the next new result, None for that result

    def unknown() -> Iterator[VideoTask]:
        for task in _tasks(files, journal):
            if isinstance(task, tuple):
                before.append(None)
                yield task
            else:
                before.append(task)

    for row in engine.map(probe_task, unknown()):
        while (known := before.popleft()) is not None:
            yield from _done(known, journal)
        yield from _done(row, journal)
    for known in before:
        assert known is not None, "each video has a result"
        yield from _done(known, journal)


def _tasks(files: Iterable[File], journal: Journal) -> Iterator[Probed | File | VideoTask]:
    """Yields known results; videos to probe, with their known properties; an archive after its last video."""
    for file in files:
        path = Path(file.path)
        if remote.is_address(file.path) or not archive.is_archive(path):
            row = Probed(file, video_bytes=file.file_bytes)
            yield journal.known(file, None) or (row, remote.as_file(file.path))
            continue
        known = journal.known_inside(file)
        if known is not None:
            yield from known
            continue
        try:
            for name, video in archive.members(path):
                yield journal.known(file, name) or (Probed(file, name, video_bytes=len(video.content)), video)
        except MediaError as error:
            yield Probed(file, fault=fault_of(error, str(path)))
        yield file


def _done(row: Probed | File, journal: Journal) -> Iterator[Probed]:
    if isinstance(row, File):
        journal.note_whole(row)
        return
    journal.note(row)
    yield row


def probe_task(task: VideoTask) -> Probed:
    """Opens a video; see `probe_video`."""
    return probe_video(*task)


def probe_video(row: Probed, file: media.MediaFile) -> Probed:
    """Opens one video and reads the headers of its packets.

    Raises:
        RunFailedError: its address cannot be reached; a table that says so would be kept.

    Args:
        row: known properties.
        file: the video, or its bytes.
    """
    try:
        row.where.encode()
    except UnicodeEncodeError:
        return replace(row, fault="bad name: the name is not valid UTF-8; rename the file")
    try:
        with media.local_media(file):
            info = media.probe(file)
    except UnreachableMediaError as error:
        raise RunFailedError(str(error)) from error
    except MediaError as error:
        return replace(row, fault=fault_of(error, str(file)))
    return replace(
        row,
        fault="" if info.has_audio else "no sound: no audio stream",
        video_s=info.video_s,
        audio_s=info.audio_s,
        width=info.width,
        height=info.height,
        frame_rate=info.frame_rate,
        frame_count=info.frame_count,
    )


def fault_of(error: MediaError, where: str) -> str:
    """``kind: sentence`` of an error without the name of the file; the kind of the closest class in `FAULTS`."""
    kind = next(FAULTS[base] for base in type(error).__mro__ if base in FAULTS)
    return f"{kind}: {str(error).removeprefix(f'{where}: ')}"
