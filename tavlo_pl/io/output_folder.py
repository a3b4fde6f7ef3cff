"""An output folder on disk, or at an address that fsspec supports.

Object stores write a file completely or not at all, and have no locks.
"""

import os
import posixpath
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.locking import exclusive_folder
from tavlo_pl.io.remote import connect, explained, is_address, join, plain

BUCKETS = {"s3", "gs", "abfs", "oss"}
"""Protocols of object stores."""

FILES_AT_ONCE = 512
"""Files that are copied by one call of fsspec, which requests several at the same time."""


class OutputFolder:
    """Files by their names relative to the folder.

    Args:
        root: folder, or address (``s3://bucket/shards``).

    Raises:
        ConfigError: there is no library for the address, or it contains a password.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = plain(str(root))
        self.is_local = not is_address(self.root)
        _ = self._files

    @cached_property
    def _connected(self) -> tuple[Any, str]:
        """The file system and the path of the folder in it."""
        if self.is_local:
            return import_module("fsspec.implementations.local").LocalFileSystem(), os.path.abspath(self.root)
        return connect(self.root)

    @property
    def _files(self) -> Any:
        return self._connected[0]

    @property
    def _root(self) -> str:
        return self._connected[1]

    def __getstate__(self) -> dict[str, object]:
        """Other processes make their own connection, at the first use."""
        return {"root": self.root, "is_local": self.is_local}

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other processes out of a folder on disk, and creates it; object storage has no locks."""
        return exclusive_folder(Path(self._root)) if self.is_local else nullcontext()

    def path(self, name: str) -> str:
        """Path or address of a file."""
        return posixpath.join(self.root, name) if self.is_local else join(self.root, name)

    def sizes(self) -> dict[str, int]:
        """Size in bytes of all files, at any depth; empty if the folder does not exist."""
        with self._explained():
            self._files.invalidate_cache()
            there = self._files.find(self._root, detail=True) if self._exists(self._root) else {}
        names = ((path[len(self._root) :].lstrip("/"), info) for path, info in there.items())
        return {name: int(info.get("size") or 0) for name, info in names if ".." not in name.split("/")}

    def names(self) -> list[str]:
        """Names of the files and folders directly in the folder; empty if it does not exist."""
        with self._explained():
            self._files.invalidate_cache()
            there = self._files.ls(self._root, detail=False) if self._exists(self._root) else []
        return [posixpath.basename(path.rstrip("/")) for path in there]

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        with self._explained(name):
            return self._exists(self._inside(name))

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        with self._explained(name):
            return int(self._files.size(self._inside(name)))

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            DatasetNotFoundError: it does not exist.
            RunFailedError: it cannot be read.
        """
        with self._explained(name):
            content: bytes = self._files.cat_file(self._inside(name))
        return content

    def fetch(self, names: Iterable[str], folder: Path) -> None:
        """Copies files to the same names in a folder of this machine, unless they are there."""
        missing = [name for name in names if not (folder / name).is_file()]
        for parent in {(folder / name).parent for name in missing}:
            parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            for start in range(0, len(missing), FILES_AT_ONCE):
                some = missing[start : start + FILES_AT_ONCE]
                self._files.get([self._inside(name) for name in some], [os.fspath(folder / name) for name in some])

    def put(self, path: Path, name: str) -> None:
        """Copies a complete file of this machine into the folder."""
        target = self._inside(name)
        with self._explained(name):
            if not self._has_buckets():
                self._files.makedirs(posixpath.dirname(target), exist_ok=True)
            self._files.put_file(os.fspath(path), target)

    def put_all(self, folder: Path, last: Collection[str] = ()) -> None:
        """Copies all files of a folder of this machine; those of some names after all others, in their order."""
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        for name in [*(name for name in names if name not in last), *(name for name in last if name in names)]:
            self.put(folder / name, name)

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""
        with self._explained(name):
            if self._exists(self._inside(name)):
                self._files.rm_file(self._inside(name))

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Yields a path; the file written there gets its name when the block ends, completely or not at all.

        Raises:
            OSError: writing failed.
            RunFailedError: the file cannot be written to its address.
        """
        if self.is_local:
            target = Path(self._inside(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, posixpath.basename(name))
            yield path
            self.put(path, name)

    def _exists(self, path: str) -> bool:
        """Whether a file or folder exists; fsspec's own method also answers no where the network fails."""
        try:
            self._files.info(path)
        except FileNotFoundError:
            return False
        return True

    def _has_buckets(self) -> bool:
        """Whether folders are parts of names; to make one would make the bucket, whose name may be misspelt."""
        protocol = self._files.protocol
        return not BUCKETS.isdisjoint([protocol] if isinstance(protocol, str) else protocol)

    def _explained(self, name: str = "") -> AbstractContextManager[None]:
        return nullcontext() if self.is_local else explained(self.path(name) if name else self.root)

    def _inside(self, name: str) -> str:
        return posixpath.join(self._root, name)
