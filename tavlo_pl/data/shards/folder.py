"""The output folder of ``tavlo data shard``: on disk, or on a file system that fsspec supports."""

import os
import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.locking import exclusive_folder


class ShardFolder:
    """Files by their names relative to the folder.

    Args:
        root: folder, or URL (``s3://bucket/shards``).

    Raises:
        ConfigError: there is no library for the URL.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = str(root)
        try:
            connected: tuple[AbstractFileSystem, str] = url_to_fs(self.root)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{self.root}: no address to write to ({error}); give a folder, or its URL") from error
        self._files, self._root = connected
        self._is_local = isinstance(self._files, LocalFileSystem)

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other processes out of a folder on disk, and creates it; object storage has no locks."""
        return exclusive_folder(Path(self._root)) if self._is_local else nullcontext()

    def path(self, name: str) -> str:
        """Path or URL of a file."""
        return posixpath.join(self.root, name)

    def names(self) -> list[str]:
        """Names of the files and folders directly in the folder; empty if it does not exist."""
        self._files.invalidate_cache()
        there = self._files.ls(self._root, detail=False) if self._files.exists(self._root) else []
        return [posixpath.basename(path.rstrip("/")) for path in there]

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        return bool(self._files.exists(self._inside(name)))

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        return int(self._files.size(self._inside(name)))

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            OSError: it cannot be read.
        """
        content: bytes = self._files.cat_file(self._inside(name))
        return content

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Yields a path; the file written there gets its name when the block ends, completely or not at all.

        Raises:
            OSError: writing failed.
        """
        target = self._inside(name)
        if self._is_local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(Path(target)) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, posixpath.basename(name))
            yield path
            self._files.makedirs(posixpath.dirname(target), exist_ok=True)
            self._files.put_file(os.fspath(path), target)

    def _inside(self, name: str) -> str:
        return posixpath.join(self._root, name)
