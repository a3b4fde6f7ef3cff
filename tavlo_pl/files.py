"""Files that are there as a whole or not at all, folders for one run at a time, and what to say when a disk refuses."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tavlo_pl.errors import ConfigError, RunFailedError, TavloError

LOCK = ".lock"
"""Says which run is at a folder; taken away when it ends, and free again when it is killed."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


@contextmanager
def whole_file(path: Path, suffix: str = ".part") -> Iterator[Path]:
    """Where to write a file that is to appear under its name when it is complete and on the disk.

    After a full disk, a kill or a power cut the name leads to the file that was there before, or to none.

    Args:
        path: the name.
        suffix: of the name beside; one for each of several processes that may write the same file.

    Raises:
        OSError: with the name in it.
    """
    part = path.with_name(path.name + suffix)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the new name and old bytes
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


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


def refusal(error: BaseException | None, where: Path | None = None) -> TavloError | None:
    """The sentence for a disk that is full, or a place that may not be written to; None for any other error.

    Args:
        error: what was raised.
        where: the folder that was written to, for errors that do not name their file.
    """
    if not isinstance(error, OSError):
        return None
    what = f"{error.filename or where or 'a file'}: {error.strerror or error}"
    if error.errno in FULL:
        return RunFailedError(f"{what}; make room, then the same command goes on")
    if error.errno in FORBIDDEN:
        return ConfigError(f"{what}; check the path and who may use it, or choose another")
    return None
