"""Errors that are no mistake of a user: the traceback goes to a file, and the message names it."""

import os
import tempfile
import traceback
from pathlib import Path

from tavlo_pl import env
from tavlo_pl.errors import InternalError, RunFailedError, TavloError

NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
"""Parts of the messages of torch, CUDA and the system where memory is lacking."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether Python, torch, CUDA or the system could not allocate memory."""
    return isinstance(error, MemoryError) or any(part in str(error).lower() for part in NO_MEMORY)


def describe_failure(error: BaseException, command: str, log: Path | None = None) -> TavloError:
    """Converts an unexpected exception into an error for the user.

    Args:
        error: the exception.
        command: the command that raised it.
        log: file to which the traceback is appended; a new file in the system's temporary folder if None or if its
            folder does not exist.

    Returns:
        A ``RunFailedError`` for a lack of memory and for an error of the system, otherwise an ``InternalError``.
    """
    message = " ".join(str(error).split())
    described = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if is_lack_of_memory(error):
        return RunFailedError(f"not enough memory ({described}); run it with smaller batches or fewer workers")
    if isinstance(error, OSError) and error.errno is not None:
        return RunFailedError(f"{error.filename or 'a file'}: {error.strerror}; check the disk, then run it again")
    return InternalError(
        f"internal error in tavlo {command}, please report it with the traceback in {_write(error, log)} ({described})"
    )


def _write(error: BaseException, log: Path | None) -> str:
    """Appends the traceback to a file and returns its path."""
    text = "".join(traceback.format_exception(error))
    try:
        if log is not None and log.parent.is_dir():
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return str(log)
        handle, path = tempfile.mkstemp(prefix="tavlo-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return f"no file, since none can be written; set {env.DEBUG}=1 to see it"
    return path
