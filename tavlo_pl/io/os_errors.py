"""The sentence for a disk that is full or a place that may not be written to."""

import errno
from pathlib import Path

from tavlo_pl.errors import ConfigError, RunFailedError, TavloError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


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
