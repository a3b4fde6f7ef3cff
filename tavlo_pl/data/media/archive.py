"""Reads videos inside tar archives, plain or compressed, without unpacking them to the disk.

Archives are untrusted. An archive is rejected as a whole if a member has a path outside the archive's folder, if a
member is not a regular file (a link, a device), if it exceeds the size limits, or if it unpacks to far more bytes than
an archive of videos does.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tavlo_pl.data.media import MemoryFile
from tavlo_pl.data.media.recognise import is_video
from tavlo_pl.errors import ConfigError, CorruptMediaError, MediaError
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.parsing import is_unicode

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

MAX_MEMBER_BYTES = 2**28
"""Maximum size of one member, which is read into memory. A clip of ten seconds has about 1 MB."""

MAX_MEMBERS = 2_000_000
"""Maximum number of members; ten times the number of clips in VGGSound."""

MAX_COMPRESSION_RATIO = 20
"""Maximum ratio of unpacked to packed size. Videos are compressed already, so that their ratio is close to 1."""

MIN_UNPACKED_LIMIT_BYTES = 2**26
"""Unpacked size that is always allowed, since the padded headers of a small archive compress well."""

_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""Function that opens a compressed archive, by the first bytes of the file."""

_DAMAGE = (
    *(tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError),
    *(RecursionError, ValueError, OverflowError),  # of headers in a row, and of numbers in headers
)


def is_archive(path: Path) -> bool:
    """Whether the name of a file is that of a tar archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def label(path: object, member: str) -> str:
    """Name of a member in messages."""
    return f"{path}: {member}"


def members(
    path: Path, max_bytes: int = MAX_MEMBER_BYTES, max_members: int = MAX_MEMBERS
) -> Iterator[tuple[str, MemoryFile]]:
    """Yields the videos of an archive in archive order, one in memory at a time.

    A video is recognised by its suffix or its first bytes. Other files and hidden files are skipped.

    Args:
        path: a tar archive, plain or compressed by gzip, bzip2 or xz.
        max_bytes: maximum size of a member.
        max_members: maximum number of members.

    Yields:
        Name of the member in the archive, and the video.

    Raises:
        ConfigError: a member has an absolute name or ``..`` in it, is a link or a device, or exceeds a limit, or the
            compression ratio is too high.
        MediaError: the archive is missing, not an archive, truncated or damaged; the members yielded before are intact.
    """
    with _opened(path, max_bytes) as tar:
        for info in _checked(tar, path, max_bytes, max_members):
            file = tar.extractfile(info)
            assert file is not None, "_checked yields regular files only"
            content = MemoryFile(label(path, info.name), file.read())
            if is_video(info.name, content):
                yield info.name, content


def read_member(path: Path, member: str) -> MemoryFile:
    """Reads one video of an uncompressed archive.

    Raises:
        MediaError: the archive or the member does not exist, or the archive is compressed and has no random access.
    """
    try:
        begin, size = _offsets(path)[member]
    except KeyError:
        raise MediaError(f"{label(path, member)}: not in the archive; index it again") from None
    with path.open("rb") as file:
        file.seek(begin)
        content = file.read(size)
    if len(content) < size:
        raise CorruptMediaError(f"{label(path, member)}: the archive is truncated; fetch it again")
    return MemoryFile(label(path, member), content)


@lru_cache(maxsize=64)
def _offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size in bytes of each member, by name."""
    try:
        with _opened(path, MAX_MEMBER_BYTES, allow_compressed=False) as tar:
            return {
                info.name: (info.offset_data, info.size) for info in _checked(tar, path, MAX_MEMBER_BYTES, MAX_MEMBERS)
            }
    except MediaError as error:
        if path.is_file() and path.suffix != ".tar":
            raise MediaError(
                f"{path}: a compressed archive has no random access; unpack it, or write shards of it"
            ) from error
        raise


def _checked(tar: tarfile.TarFile, path: Path, max_bytes: int, max_members: int) -> Iterator[tarfile.TarInfo]:
    """Yields the regular files of an archive after checking each of them; raises the errors of `members`."""
    seen: set[int] = set()  # hashes, since names may be long
    for number, info in enumerate(tar, 1):
        tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all headers in memory otherwise
        where = label(path, info.name)
        name = PurePosixPath(info.name)
        if name.is_absolute() or ".." in name.parts:
            raise ConfigError(f"{where}: the member's name is a path outside the archive; do not use this archive.")
        if not (info.isreg() or info.isdir()):
            raise ConfigError(
                f"{where}: the member is a link or a device, not a regular file; do not use this archive."
            )
        if info.issparse():
            raise ConfigError(f"{where}: the member is sparse, which no video is; do not use this archive.")
        if not is_unicode(info.name):
            raise ConfigError(f"{where}: the member's name is no text in UTF-8; pack the archive again.")
        if info.size > max_bytes:
            raise ConfigError(f"{where}: the member has {info.size:,} bytes, more than {max_bytes:,}.")
        if number > max_members:
            raise ConfigError(f"{where}: the archive has more than {max_members:,} members.")
        if info.isreg():
            if hash(info.name) in seen:
                raise ConfigError(f"{where}: the archive has two members of this name; pack it again.")
            seen.add(hash(info.name))
            yield info
    _check_end(tar, path)


def _check_end(tar: tarfile.TarFile, path: Path) -> None:
    """Raises an error unless the archive ends with a block of zeros; tarfile accepts any damaged header as the end."""
    assert tar.fileobj is not None, "the archive is open"
    tar.fileobj.seek(tar.offset)
    block = tar.fileobj.read(tarfile.BLOCKSIZE)
    if not block or block.strip(b"\0"):
        raise CorruptMediaError(f"{path}: the archive is truncated or damaged; fetch it again")


@contextmanager
def _opened(path: Path, max_bytes: int, allow_compressed: bool = True) -> Iterator[tarfile.TarFile]:
    """Opens an archive; converts the errors of damaged files into a `CorruptMediaError` that names the file."""
    check_regular(path, None, MediaError)
    try:
        with _open_stream(path, allow_compressed) as stream:
            bounded: Any = _BoundedStream(stream, path, max_bytes)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                yield tar
    except _DAMAGE as error:
        raise CorruptMediaError(f"{path}: the archive is truncated or damaged ({error}); fetch it again") from error


def _open_stream(path: Path, allow_compressed: bool) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(max(map(len, _OPENERS)))
    opener = next((opener for begin, opener in _OPENERS.items() if head.startswith(begin)), None)
    return opener(path) if allow_compressed and opener else path.open("rb")


class _BoundedStream:
    """The unpacked bytes of an archive with limits on one read and on the total; tarfile reads whole headers at once.

    Args:
        stream: unpacked bytes.
        path: path of the archive, for messages.
        max_bytes: maximum size of one read.
    """

    def __init__(self, stream: IO[bytes], path: Path, max_bytes: int) -> None:
        self._stream = stream
        self._path = path
        self._max_read_bytes = max(max_bytes, tarfile.RECORDSIZE) + tarfile.BLOCKSIZE  # members are padded
        self._max_total_bytes = max(MAX_COMPRESSION_RATIO * path.stat().st_size, MIN_UNPACKED_LIMIT_BYTES)
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        """Reads the next bytes.

        Raises:
            ConfigError: the read or the position after it exceeds a limit.
        """
        if size > self._max_read_bytes:
            raise ConfigError(f"{self._path}: it has a header of {size:,} bytes; do not use this archive.")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, position: int) -> int:
        """Moves to a position in bytes from the beginning.

        Raises:
            ConfigError: the position exceeds the limit.
        """
        self._check(position)
        return self._stream.seek(position)

    def _check(self, position: int) -> None:
        if position > self._max_total_bytes:
            raise ConfigError(
                f"{self._path}: it unpacks to more than {self._max_total_bytes:,} bytes, far more than an archive of "
                "videos; do not use this archive."
            )
