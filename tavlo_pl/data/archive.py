"""Videos inside of tar archives, plain or compressed; nothing is ever unpacked to the disk.

What comes from elsewhere is not trusted: an archive with a member that would leave its folder or that is no plain
file (a link, a device) is refused as a whole, and so is one that is larger than any part of a data set.
"""

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from tavlo_pl.data.media import MemoryFile
from tavlo_pl.data.media_open import is_video
from tavlo_pl.errors import ConfigError, MediaError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

LARGEST_MEMBER_BYTES = 2**28
"""Clips of ten seconds have a megabyte; what is hundreds of times larger is none, and must not fill the memory."""

MOST_MEMBERS = 2_000_000
"""Ten times all of VGGSound."""

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
        ConfigError: a member with an absolute name or ``..`` in it, a link, a device, or beyond the limits.
        MediaError: the archive is missing, no archive, cut short or damaged; what came before is whole.
    """
    with _opened(path, "r:*") as tar:
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
        raise MediaError(f"{label(path, member)}: the archive is cut short; fetch it again")
    return MemoryFile(label(path, member), content)


@lru_cache(maxsize=64)
def _places(path: Path) -> dict[str, tuple[int, int]]:
    """First byte and size of every member, by name."""
    try:
        with _opened(path, "r:") as tar:
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
        raise MediaError(f"{path}: the archive is cut short or damaged; fetch it again")


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise MediaError(f"{path}: no such archive; check the name")
    try:
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            yield tar
    except _DAMAGE as error:
        raise MediaError(f"{path}: the archive is cut short or damaged ({error}); fetch it again") from error
