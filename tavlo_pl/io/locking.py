"""Folders for one run at a time."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tavlo_pl.errors import ConfigError

LOCK = ".lock"
"""Says which run is at a folder; taken away when it ends, and free again when it is killed."""


@contextmanager
def alone(folder: Path, lock: str = LOCK) -> Iterator[None]:
    """Keeps other runs out of a folder, as long as the block lasts.

    The lock is the process's own: workers that outlive a killed run for a moment do not hold it.

    Args:
        folder: made if it is not there.
        lock: name of the file.

    Raises:
        ConfigError: another process is at it.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / lock
    handle = _locked(path)
    try:
        with suppress(OSError):  # a full disk will be told of by whoever needs it
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        if made:
            with suppress(OSError):  # not empty, as it should be
                folder.rmdir()


def _locked(path: Path) -> int:
    """The open lock file, which this process now holds."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return handle  # a file system without locks: nobody can be kept out
            owner = os.read(handle, 200).decode(errors="replace").strip()
            os.close(handle)
            raise ConfigError(
                f"{path.parent} is in use by another run ({owner or path}); wait for its end, or choose another --out"
            ) from error
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # its owner has just taken the file away
