"""Opens untrusted files: regular files only, within a size limit.

A pipe, a device or a socket in place of a file would block the command or never end, and a file of ``/proc`` has no
size. Links are followed.
"""

import os
import stat
from pathlib import Path

from tavlo_pl.errors import ConfigError, TavloError

BYTE_ORDER_MARK = "\ufeff"
"""Written by Notepad and Excel at the start of a text in UTF-8; programs that concatenate files leave it inside."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of a text in UTF-16, as PowerShell and Notepad write it."""

SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(
    path: str | Path, largest_bytes: int | None = None, error: type[TavloError] = ConfigError
) -> os.stat_result:
    """Checks a path before anything opens it.

    Args:
        path: of a file, or of a link to one.
        largest_bytes: that it may have; None for any size.
        error: class of the errors.

    Returns:
        Size and times of the file.

    Raises:
        TavloError: there is no such file, it is not a regular file, or it is too large; an instance of `error`.
    """
    try:
        info = os.stat(path)
    except (OSError, ValueError) as problem:  # ValueError: a null character in the path
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise error(f"{path}: {reason}; check the path") from problem
    if not stat.S_ISREG(info.st_mode):
        kind = KINDS.get(stat.S_IFMT(info.st_mode), "no regular file")
        raise error(f"{path} is {kind}; give a regular file")
    if os.path.realpath(path).startswith(SYSTEM_FOLDERS):  # reading may block, and sizes are not those of the content
        raise error(f"{path} is a file of the system, not of a disk; give a regular file")
    if largest_bytes is not None and info.st_size > largest_bytes:
        raise error(
            f"{path}: {info.st_size:,} bytes are more than the {largest_bytes:,} of such files; is it the right one?"
        )
    return info


def read_bytes(path: str | Path, largest_bytes: int, error: type[TavloError] = ConfigError) -> bytes:
    """Reads a regular file; arguments and errors as for `check_regular`."""
    size = check_regular(path, largest_bytes, error).st_size
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # files of /proc may block
            content = file.read(largest_bytes + 1 if size else 1)
    except OSError as problem:
        raise error(f"{path}: {problem.strerror}; check the path") from problem
    if not size and content != b"":
        raise error(f"{path} is a file of the system without a size; give a regular file")
    if len(content) > largest_bytes:
        raise error(f"{path}: more than the {largest_bytes:,} bytes of such files; is it the right one?")
    return content


def read_text(path: str | Path, largest_bytes: int, error: type[TavloError] = ConfigError) -> str:
    """Reads a regular UTF-8 file, with the line ends of Unix and without byte-order marks.

    Arguments and errors are those of `check_regular`.
    """
    content = read_bytes(path, largest_bytes, error)
    if content.startswith(UTF_16):
        raise error(f"{path}: the text is in UTF-16; save it as UTF-8.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: no text in UTF-8 ({problem}); unpack or download it again.") from problem
    return text.replace(BYTE_ORDER_MARK, "").replace("\r\n", "\n").replace("\r", "\n")
