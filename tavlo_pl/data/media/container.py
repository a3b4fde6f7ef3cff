"""Opens media files, selects their streams and computes the origin of their clock; one error class for each failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from tavlo_pl import env
from tavlo_pl.data.media.limits import FORMATS, limits
from tavlo_pl.data.media.refused import HEAD_BYTES, refusal
from tavlo_pl.errors import (
    CorruptMediaError,
    EmptyMediaError,
    MediaError,
    NotMediaError,
)
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.remote import RemoteFile, on_disk
from tavlo_pl.io.timeout import too_slow

# First boxes of MP4 and MOV files, the containers whose index may be at the end.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
# First bytes of Matroska and WebM files.
_MATROSKA = b"\x1aE\xdf\xa3"
_SEGMENT = b"\x18S\x80g"
_MATROSKA_HEAD = 4096


@dataclass(frozen=True)
class MemoryFile:
    """A media file in memory, accepted wherever a path is.

    Args:
        name: name in messages, such as ``part.tar.gz: videos/a.mp4``.
        content: bytes of the file.
    """

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


MediaFile = Path | MemoryFile | RemoteFile


@contextmanager
def local_media(file: MediaFile) -> Iterator[Path | MemoryFile]:
    """Copies a remote file to this machine while the block runs (see `on_disk`); yields other files as they are."""
    if isinstance(file, MemoryFile):
        yield file
    else:
        with on_disk(file) as local:
            yield local


def as_media(file: str | MediaFile) -> MediaFile:
    """Converts a string to a path."""
    return Path(file) if isinstance(file, str) else file


@contextmanager
def open_media(path: MediaFile) -> Iterator[InputContainer]:
    """Opens a file for reading; FFmpeg errors inside the ``with`` block are converted to errors that name the file.

    A remote file is copied to this machine while it is open, unless an outer block of `local_media` holds it.

    Raises:
        EmptyMediaError: the file has no bytes.
        NotMediaError: the file is not a supported container.
        CorruptMediaError: the file is truncated or damaged.
        SlowMediaError: reading takes longer than the time limit.
        MediaError: the file does not exist, cannot be opened, has no presentation times, or exceeds `limits`.
        MemoryError: memory is lacking, which is no damage of the file.
    """
    with local_media(path) as file, _opened(path, file) as container:
        yield container


@contextmanager
def _opened(path: MediaFile, file: Path | MemoryFile) -> Iterator[InputContainer]:
    """Opens a file on this machine, or in memory, whose name in messages is ``path``."""
    if isinstance(file, Path) and not file.is_file():
        raise MediaError(f"{path}: no such file; check the name or remove it from the list")
    head = first_bytes(path)
    if not head:
        raise EmptyMediaError(f"{path}: the file is empty; fetch it again or leave it out")
    try:
        # Without "file:", FFmpeg reads a protocol from a relative name such as "a:b.mp4".
        opened = BytesIO(file.content) if isinstance(file, MemoryFile) else f"file:{file}"
        options = {"format_whitelist": ",".join(FORMATS), **limits().for_decoder}
        container = av.open(
            opened, "r", options=options, metadata_errors="ignore", timeout=env.clip_timeout_s() or None
        )
    except av.error.ExitError as error:
        raise too_slow(path) from error
    except MemoryError as error:
        raise no_memory(path) from error
    except (av.InvalidDataError, av.ArgumentError) as error:
        if head[4:8] in _MP4_BOXES:
            raise CorruptMediaError(
                f"{path}: truncated or damaged: an MP4 without its index; fetch it again or leave it out"
            ) from error
        raise NotMediaError(f"{path}: {refusal(first_bytes(path, HEAD_BYTES))}") from error
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror}; check the file") from error
    with container:
        try:
            _check_container(container, path)
            yield container
        except av.error.ExitError as error:
            raise too_slow(path) from error
        except MemoryError as error:
            raise no_memory(path) from error
        except av.PatchWelcomeError as error:
            raise MediaError(
                f"{path}: FFmpeg does not read this part of its format (such as joined Ogg files); convert it to MP4"
            ) from error
        except av.FFmpegError as error:
            # OSErrors other than "try again" come from another file, such as a full disk while a video is written.
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
                raise
            raise CorruptMediaError(
                f"{path}: damaged: {error.strerror}; fetch the file again or leave it out"
            ) from error


def no_memory(path: MediaFile) -> MemoryError:
    """Python's error in place of FFmpeg's, which other processes cannot unpickle."""
    return MemoryError(f"{path}: cannot allocate memory to read it")


def first_bytes(path: MediaFile, count: int = 12) -> bytes:
    """Reads the first bytes of a file, by which a container is recognised.

    Raises:
        MediaError: the file cannot be read.
    """
    if isinstance(path, MemoryFile):
        return path.content[:count]
    with on_disk(path) as local:
        return _first_bytes(local, count)


def _first_bytes(path: Path, count: int) -> bytes:
    check_regular(path, None, MediaError)
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror}; check the file") from error


def _check_container(container: InputContainer, path: MediaFile) -> None:
    """Raises an error for files beyond the limits and for files that would silently decode to wrong frames."""
    limits().check(container, path)
    videos = container.streams.video[:1]
    if is_avi(container) and videos and videos[0].codec_context and videos[0].codec_context.has_b_frames:
        raise MediaError(f"{path}: AVI has no presentation times and this file has B-frames; convert the file to MP4")
    for stream in container.streams:
        # An MP4 index lists every packet; a packet beyond the end of the file means a truncated file.
        entries = stream.index_entries
        if len(entries) and entries[-1].pos + entries[-1].size > container.size:
            raise CorruptMediaError(f"{path}: truncated; fetch the file again or leave it out")
    if "matroska" in container.format.name and _matroska_end(first_bytes(path, _MATROSKA_HEAD)) > container.size:
        raise CorruptMediaError(f"{path}: truncated; fetch the file again or leave it out")


def _matroska_end(head: bytes) -> int:
    """Position after the first segment of a Matroska file, which holds all frames; 0 if the file does not state it."""
    size, begin = _matroska_size(head, len(_MATROSKA))
    segment = begin + size
    if head[segment : segment + len(_SEGMENT)] != _SEGMENT:
        return 0
    size, begin = _matroska_size(head, segment + len(_SEGMENT))
    return begin + size if size else 0


def _matroska_size(head: bytes, at: int) -> tuple[int, int]:
    """Size of a Matroska element, 0 if unknown, and the position after it; the leading zero bits state its length."""
    first = head[at] if at < len(head) else 0
    length = 9 - first.bit_length()
    size = int.from_bytes(head[at : at + length]) & ~(1 << 7 * length)
    return (0 if size == (1 << 7 * length) - 1 else size), at + length


def is_avi(container: InputContainer) -> bool:
    """Whether the container is AVI, which stores decoding times only."""
    return container.format.name == "avi"


def demux(container: InputContainer, path: MediaFile, streams: Sequence[Stream] = ()) -> Iterator[Packet[Stream]]:
    """Yields the packets of some streams, or of all; empty packets at the end flush the decoders.

    Packets of an AVI file get their decoding times as presentation times, which are equal without B-frames. FFmpeg's
    own estimate is one frame late for H.264.

    Raises:
        CorruptMediaError: a stream begins that the headers do not list (PyAV raises an IndexError).
    """
    avi = is_avi(container)
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError as error:
            raise CorruptMediaError(
                f"{path}: damaged: a stream begins in the middle of the file; fetch the file again or leave it out"
            ) from error
        if packet is None:
            return
        if avi and packet.size:
            packet.pts = packet.dts
        yield packet


def to_seconds(timestamps: np.ndarray | np.int64, stream: Stream) -> np.ndarray:
    """Converts int64 timestamps of a stream to float64 seconds on the file's clock."""
    assert stream.time_base is not None, "a demuxed stream has a time base"
    return np.asarray(timestamps * stream.time_base.numerator / stream.time_base.denominator)


def to_ticks(time_s: float, stream: Stream) -> float:
    """Converts seconds on the file's clock, finite or infinite, to units of a stream's time base."""
    assert stream.time_base is not None, "a demuxed stream has a time base"
    return time_s * stream.time_base.denominator / stream.time_base.numerator
