"""Files at addresses such as ``s3://bucket/a.mp4``: listed and copied by fsspec, which is imported where it is needed.

A file is copied to a temporary folder while it is read. Addresses with a password or a signature are refused, so that
none can be in messages and results; credentials come from the environment or the settings of fsspec.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from glob import has_magic
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tavlo_pl.errors import (
    ConfigError,
    DatasetNotFoundError,
    MediaError,
    RunFailedError,
    SlowMediaError,
    TavloError,
    UnreachableMediaError,
)
from tavlo_pl.io.messages import one_line
from tavlo_pl.io.os_errors import DISK_FULL
from tavlo_pl.io.timeout import time_limit
from tavlo_pl.io.walk import MOST_ENTRIES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ADDRESS = re.compile(r"(?:[A-Za-z][\w+.-]*::)*[A-Za-z][\w+.-]*://")
"""Beginning of ``s3://bucket`` or ``simplecache::s3://bucket``."""

LOCAL = "file://"
SECRETS = re.compile(r"://[^/@]*:[^/@]*@|https?://(?:(?!::).)*\?")
"""A user with a password, or the query of a web address, which may be a signature."""

BLOCK_BYTES = 2**24
"""Bytes that are read within the time limit of a clip."""

WAITS_S = (1.0, 4.0)
"""Times to wait before a file is copied again after an error of the network."""

CHANGED = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""Names that file systems give to the time of the last change, the best first."""

TEMPORARY = "tavlo_"


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A file at an address, accepted wherever the path of a video is.

    Attributes:
        address: of the file.
        size: in bytes; None if the file system does not state it.
        mtime_ns: time of its last change in nanoseconds; 0 if unknown.
    """

    address: str
    size: int | None = None
    mtime_ns: int = 0

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of the path."""
        return link_of(self.address).rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the name, with a dot."""
        return PurePosixPath(self.name).suffix


VideoPath = Path | RemoteFile


def is_address(name: object) -> bool:
    """Whether a text is an address, of this machine (``file://``) or another one."""
    return isinstance(name, str) and ADDRESS.match(name) is not None


def plain(name: str) -> str:
    """The path of an address of this machine; other addresses and paths are returned as they are."""
    return name.removeprefix(LOCAL)


def as_file(name: str) -> VideoPath:
    """The file of a path or address that was stored."""
    return RemoteFile(name) if is_address(name) else Path(name)


def link_of(address: str) -> str:
    """The part of a chained address that contains the path: ``s3://b/x`` of ``simplecache::s3://b/x``."""
    return next((link for link in address.split("::") if "://" in link), address)


def join(address: str, name: str) -> str:
    """The address of a file in a folder.

    >>> join("simplecache::s3://bucket/videos/", "a/b.mp4")
    'simplecache::s3://bucket/videos/a/b.mp4'
    >>> join("zip://videos::s3://bucket/all.zip", "a.mp4")
    'zip://videos/a.mp4::s3://bucket/all.zip'
    """
    link = link_of(address)
    return address.replace(link, f"{link}{'' if link.endswith('/') else '/'}{name}", 1)


def is_below(address: str, root: str) -> bool:
    """Whether an address is a folder or pattern, or below it.

    >>> is_below("s3://bucket/videos/a.mp4", "s3://bucket/videos"), is_below("s3://bucket/other", "s3://bucket/o")
    (True, False)
    """
    link, base = link_of(address), _before_pattern(link_of(root)).rstrip("/")
    is_inside = link == base or (link.startswith(f"{base}/") and ".." not in link.split("/"))
    return is_inside and address.replace(link, "", 1) == root.replace(link_of(root), "", 1)


def shown(address: str) -> str:
    """An address for messages, without passwords and signatures."""
    return re.sub(r"\?.*?(?=::|$)", "?...", re.sub(r"://[^/@]*:[^/@]*@", "://...@", address))


def connect(address: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of an address and the path in it; imports fsspec.

    Raises:
        ConfigError: the protocol is unknown, its library is not installed, or the address contains a secret.
    """
    if SECRETS.search(address):
        raise ConfigError(
            f"{shown(address)}: an address with a password or a signature would be stored with the results; give "
            "credentials in the environment or in the settings of fsspec."
        )
    with explained(address):
        try:
            return _connect(address, os.getpid())
        except (ImportError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{address}: no file system for this address ({one_line(error)}); check the address, or install the "
                "library with pip."
            ) from error


@lru_cache(maxsize=256)
def _connect(address: str, _process: int) -> "tuple[AbstractFileSystem, str]":
    """Each process makes its own connection, because connections do not survive a fork."""
    connected: tuple[AbstractFileSystem, str] = import_module("fsspec.core").url_to_fs(address)
    return connected


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Converts errors of a file system to errors of one sentence.

    Raises:
        DatasetNotFoundError: nothing is there.
        ConfigError: access is denied, or there are no credentials.
        RunFailedError: anything else.
        OSError: a disk of this machine is full.
    """
    try:
        yield
    except TavloError:
        raise
    except FileNotFoundError as error:
        raise DatasetNotFoundError(f"{address}: no such file or folder; check the address.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        reason = one_line(error) or type(error).__name__
        if isinstance(error, PermissionError) or "credential" in reason.lower():
            raise ConfigError(f"{address}: access is denied ({reason}); check the credentials.") from error
        raise RunFailedError(
            f"{address}: cannot be reached ({reason}); check the network, then run the same command again."
        ) from error


def find(address: str) -> list[RemoteFile]:
    """The files below a folder, the file itself, or the files that match a pattern, sorted; empty if there are none.

    Raises:
        ConfigError: see `connect`; or there are more than `MOST_ENTRIES` files.
        RunFailedError: the file system cannot be reached.
    """
    files, path = connect(address)
    base, base_path = address, path
    try:
        with explained(address):
            files.invalidate_cache()
            found: dict[str, dict[str, Any]] = files.find(path, detail=True)
            if not found and has_magic(link_of(address)):
                found = files.glob(path, detail=True)
                base = address.replace(link_of(address), _before_pattern(link_of(address)), 1)
                base_path = connect(base)[1]
            elif not found:
                files.info(path)  # `find` of some file systems hides errors
            if len(found) > MOST_ENTRIES:
                raise ConfigError(f"{address}: more than {MOST_ENTRIES:,} files; is it the right folder?")
            if path in found:
                return [_file(address, found[path] or files.info(path))]
    except DatasetNotFoundError:
        return []
    kept = sorted((name, info) for name, info in found.items() if info.get("type") == "file" and name[-1] != "/")
    return [_file(join(base, name[len(base_path) :].lstrip("/")), info) for name, info in kept]


def _before_pattern(link: str) -> str:
    """The folder of a pattern, its parts before the first with a wildcard; anything else as it is."""
    parts = link.split("/")
    return "/".join(parts[: next((number for number, part in enumerate(parts) if has_magic(part)), len(parts))])


def _file(address: str, info: dict[str, Any]) -> RemoteFile:
    size = info.get("size")
    changed = next((info[name] for name in CHANGED if info.get(name)), 0)
    try:
        if isinstance(changed, str):
            changed = datetime.fromisoformat(changed)
        time_s = changed.timestamp() if isinstance(changed, datetime) else float(changed)
    except (TypeError, ValueError):
        time_s = 0.0
    return RemoteFile(address, None if size is None else int(size), round(time_s * 1e9))


_copies: dict[str, Path] = {}
"""Path of the copy of each file that this process holds, by address."""


@contextmanager
def on_disk(file: VideoPath) -> Iterator[Path]:
    """Copies a remote file to this machine while the block runs; inner blocks use the copy of the outermost one.

    Args:
        file: a remote file; a path is returned as it is.

    Yields:
        The path of the copy.

    Raises:
        UnreachableMediaError: the network fails, or is too slow.
        MediaError: the file is not there, access is denied, or the disk has no space for it.
        ConfigError: see `connect`.
    """
    if not isinstance(file, RemoteFile):
        yield file
    elif (copy := _copies.get(file.address)) is not None:
        yield copy
    else:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
            is_plain = re.fullmatch(r"\.\w{1,8}", file.suffix, re.ASCII)  # FFmpeg considers the suffix
            copy = Path(folder, f"video{file.suffix if is_plain else ''}")
            _copy(file, copy)
            _copies[file.address] = copy
            try:
                yield copy
            finally:
                _copies.pop(file.address, None)


def _copy(file: RemoteFile, path: Path) -> None:
    for wait_s in (*WAITS_S, None):
        try:
            with explained(file.address):
                _transfer(file, path)
            return
        except DatasetNotFoundError as error:
            raise MediaError(str(error)) from error
        except (RunFailedError, SlowMediaError) as error:
            if wait_s is None:
                raise UnreachableMediaError(str(error)) from error
            time.sleep(wait_s)


def _transfer(file: RemoteFile, path: Path) -> None:
    """Copies a file in blocks, each within the time limit of a clip."""
    files, name = connect(file.address)
    with files.open(name, "rb") as source, path.open("wb") as target:
        size = getattr(source, "size", None)
        free = shutil.disk_usage(path.parent).free
        if size is not None and size > free:
            raise MediaError(
                f"{file}: {size:,} bytes, and the temporary folder {path.parent.parent} has {free:,}; set TMPDIR to a "
                "folder with more space"
            )
        while True:
            with time_limit(file):
                block = source.read(BLOCK_BYTES)
            if not block:
                break
            target.write(block)
        if size is not None and target.tell() != size:
            raise EOFError(f"{target.tell():,} of {size:,} bytes came")


@contextmanager
def staging(address: str) -> Iterator[Path]:
    """A temporary folder for the files of an address; errors name the address in place of the folder."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as folder:
        try:
            yield Path(folder)
        except TavloError as error:
            error.args = (str(error).replace(folder, address),)
            raise
