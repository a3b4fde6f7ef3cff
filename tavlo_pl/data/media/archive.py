"""Videos inside of tar archives, plain or compressed; nothing is ever unpacked to the disk.

What comes from elsewhere is not trusted: an archive with a member that would leave its folder or that is no plain
file (a link, a device) is refused as a whole, and so is one that is larger than any part of a data set, or that a few
bytes blow up to be.
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
from tavlo_pl.data.media.container import is_video
from tavlo_pl.errors import ConfigError, CorruptMediaError, MediaError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

LARGEST_MEMBER_BYTES = 2**28
"""Clips of ten seconds have a megabyte; what is hundreds of times larger is none, and must not fill the memory."""

MOST_MEMBERS = 2_000_000
"""Ten times all of VGGSound."""

MOST_GROWTH = 20
"""Times that an archive may grow when it is unpacked; videos are compressed already, and hardly grow at all."""

GROWTH_ALLOWED_BYTES = 2**26
"""A small archive may grow so far at any rate: its headers are padded."""

_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""How compressed archives are opened, by their first bytes."""

_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive, by its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def label(path: Path, member: str) -> str:
    """What messages call a member."""
    return f"{path}: {member}"


def members(
    path: Path, largest_bytes: int = LARGEST_MEMBER_BYTES, most: int = MOST_MEMBERS
) -> Iterator[tuple[str, MemoryFile]]:
    """The videos of an archive, in its order, one in memory at a time.

    A video is known by its suffix or its first bytes; other files and hidden ones are passed over.

    Args:
        path: a tar archive, plain or compressed by gzip, bzip2 or xz.
        largest_bytes: size that no member may exceed.
        most: number of members that the archive may not exceed.

    Yields:
        Name of the member inside of the archive, and the video.

    Raises:
        ConfigError: a member with an absolute name or ``..`` in it, a link, a device, or beyond the limits; the archive
            grows more than any archive of videos.
        MediaError: the archive is missing, no archive, cut short or damaged; what came before is whole.
    """
    with _opened(path, largest_bytes) as tar:
        for info in _checked(tar, path, largest_bytes, most):
            file = tar.extractfile(info)
            assert file is not None, "only plain files come here"
            content = MemoryFile(label(path, info.name), file.read())
            if is_video(info.name, content):
                yield info.name, content


def read_member(path: Path, member: str) -> MemoryFile:
    """One video of an archive that is not compressed.

    Raises:
        MediaError: there is no such archive or member, or the archive is compressed and cannot be read in any order.
    """
    try:
        begin, size = _places(path)[member]
    except KeyError:
        raise MediaError(f"{label(path, member)}: not in the archive; index it again") from None
    with path.open("rb") as file:
        file.seek(begin)
        content = file.read(size)
    if len(content) < size:
        raise CorruptMediaError(f"{label(path, member)}: the archive is cut short; fetch it again")
    return MemoryFile(label(path, member), content)


@lru_cache(maxsize=64)
def _places(path: Path) -> dict[str, tuple[int, int]]:
    """First byte and size of every member, by name."""
    try:
        with _opened(path, LARGEST_MEMBER_BYTES, packed=False) as tar:
            return {
                info.name: (info.offset_data, info.size)
                for info in _checked(tar, path, LARGEST_MEMBER_BYTES, MOST_MEMBERS)
                if not info.issparse()
            }
    except MediaError as error:
        if path.is_file() and path.suffix != ".tar":
            raise MediaError(
                f"{path}: a compressed archive cannot be read in any order; unpack it, or write shards of it"
            ) from error
        raise


def _checked(tar: tarfile.TarFile, path: Path, largest_bytes: int, most: int) -> Iterator[tarfile.TarInfo]:
    """The plain files of an archive, each after it was looked at; raises as `members`."""
    for number, info in enumerate(tar, 1):
        tar.members = []  # type: ignore[attr-defined]  # it would keep every header in memory
        where = label(path, info.name)
        name = PurePosixPath(info.name)
        if name.is_absolute() or ".." in name.parts:
            raise ConfigError(f"{where}: the member's name leads out of the archive; take this archive away.")
        if not (info.isreg() or info.isdir()):
            raise ConfigError(f"{where}: the member is a link or a device, no plain file; take this archive away.")
        if info.size > largest_bytes:
            raise ConfigError(f"{where}: the member has {info.size:,} bytes, more than {largest_bytes:,}.")
        if number > most:
            raise ConfigError(f"{where}: the archive has more than {most:,} members.")
        if info.isreg():
            yield info
    _check_end(tar, path)


def _check_end(tar: tarfile.TarFile, path: Path) -> None:
    """An archive ends with blocks of zeros; the reader takes any other end for one too."""
    assert tar.fileobj is not None, "the archive is open"
    tar.fileobj.seek(tar.offset)
    block = tar.fileobj.read(tarfile.BLOCKSIZE)
    if not block or block.strip(b"\0"):
        raise CorruptMediaError(f"{path}: the archive is cut short or damaged; fetch it again")


@contextmanager
def _opened(path: Path, largest_bytes: int, packed: bool = True) -> Iterator[tarfile.TarFile]:
    """The archive, which must not be compressed unless `packed`; what damage makes of it names the file."""
    if not path.is_file():
        raise MediaError(f"{path}: no such archive; check the name")
    try:
        with _open_stream(path, packed) as stream:
            bounded: Any = _Bounded(stream, path, largest_bytes)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                yield tar
    except _DAMAGE as error:
        raise CorruptMediaError(f"{path}: the archive is cut short or damaged ({error}); fetch it again") from error


def _open_stream(path: Path, packed: bool) -> IO[bytes]:
    with path.open("rb") as file:
        head = file.read(max(map(len, _OPENERS)))
    opener = next((opener for begin, opener in _OPENERS.items() if head.startswith(begin)), None)
    return opener(path) if packed and opener else path.open("rb")


class _Bounded:
    """The bytes of an archive, up to the size that a valid archive has: tarfile reads any header into memory whole.

    Args:
        stream: unpacked.
        path: of the archive.
        largest_bytes: that may be read at once.
    """

    def __init__(self, stream: IO[bytes], path: Path, largest_bytes: int) -> None:
        self._stream = stream
        self._path = path
        self._at_once = max(largest_bytes, tarfile.RECORDSIZE) + tarfile.BLOCKSIZE  # members are padded
        self._most_bytes = max(MOST_GROWTH * path.stat().st_size, GROWTH_ALLOWED_BYTES)
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            ConfigError: there are too many.
        """
        if size > self._at_once:
            raise ConfigError(f"{self._path}: it has a header of {size:,} bytes; take this archive away.")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        """Goes to a place from the beginning.

        Raises:
            ConfigError: it is too far away.
        """
        self._check(place)
        return self._stream.seek(place)

    def _check(self, place: int) -> None:
        if place > self._most_bytes:
            raise ConfigError(
                f"{self._path}: it unpacks to more than {self._most_bytes:,} bytes, far more than videos do that were "
                "packed; take this archive away."
            )
