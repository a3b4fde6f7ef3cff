"""A lock that keeps a folder for one process at a time."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tavlo_pl.errors import ConfigError

LOCK = ".lock"
"""Name of the lock file. It holds the process and machine of its owner and is removed when the lock is released; a
file left by a killed process locks nothing."""


@contextmanager
def exclusive_folder(folder: Path, lock: str = LOCK) -> Iterator[None]:
    """Keeps other processes out of a folder while the block runs.

    The lock belongs to this process: child processes that outlive it for a moment do not hold it. The folder is created
    with its parents if it does not exist; what was created here is removed at the end if it is empty.

    Args:
        folder: the folder to lock.
        lock: name of the lock file.

    Raises:
        ConfigError: another process holds the lock.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / lock
    handle = _open_locked(path)
    try:
        with suppress(OSError):  # a full disk is reported by the code that writes the real files
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        with suppress(OSError):  # not empty
            for made in created:
                made.rmdir()


def _open_locked(path: Path) -> int:
    """Opens and locks the lock file; returns its file descriptor."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return handle  # the file system has no locks
            owner = os.read(handle, 200).decode(errors="replace").strip()
            os.close(handle)
            raise ConfigError(
                f"{path.parent} is in use by another run ({owner or path}); wait until it ends, or choose another --out"
            ) from error
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # the previous owner has just removed the file
