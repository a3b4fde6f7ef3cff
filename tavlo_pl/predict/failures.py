"""Errors in the work on one video: they are reported for that video and do not end the run."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tavlo_pl import env
from tavlo_pl.errors import MediaError, TavloError
from tavlo_pl.io.remote import VideoPath
from tavlo_pl.io.tracebacks import is_lack_of_memory

ENDS_RUN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of the file system that every other video would have too."""


@contextmanager
def as_media_error(path: VideoPath) -> Iterator[None]:
    """Converts whatever the work on a video raises to a `MediaError` that names the file.

    Errors that concern the whole run keep their class: a full or read-only disk, and mistakes of the user such as a
    model without temporal attention.

    Args:
        path: the video.

    Raises:
        MediaError: the block raised an exception.
    """
    try:
        yield
    except TavloError:
        raise
    except OSError as error:
        if error.errno in ENDS_RUN:
            raise
        place = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
        raise MediaError(f"{path}: {error.strerror or error}{place}") from error
    except Exception as error:
        if is_lack_of_memory(error):
            raise MediaError(f"{path}: not enough memory for it; run the command again when more is free") from error
        if env.debug():
            traceback.print_exc()
        raise MediaError(f"{path}: {_brief(error)}; set {env.DEBUG}=1 to see the traceback") from error


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
