"""Errors of the file system as errors that are shown to the user."""

import errno
from pathlib import Path

from tavlo_pl.errors import ConfigError, RunFailedError, TavloError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
WRONG_PATH = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENODEV),
}


def describe_os_error(error: BaseException | None, folder: Path | None = None) -> TavloError | None:
    """Converts an error of a full disk or of a path that cannot be read or written into an error for the user.

    Args:
        error: the exception that was raised.
        folder: folder that was written to, named where the error does not name its file.

    Returns:
        A ``RunFailedError`` for a full disk, a ``ConfigError`` for a path that cannot be used, None otherwise.
    """
    if not isinstance(error, OSError):
        return None
    problem = f"{error.filename or folder or 'a file'}: {error.strerror or error}"
    if error.errno in DISK_FULL:
        return RunFailedError(f"{problem}; free some space, then run the same command again to continue")
    if error.errno in WRONG_PATH:
        return ConfigError(f"{problem}; check the path and its permissions, or choose another one")
    return None
