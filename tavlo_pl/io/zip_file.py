"""Zip files from untrusted sources: the directory is checked before a member is read.

`zipfile` reads a directory of any size, and lists the same bytes as many members if the directory says so.
"""

import struct
import zipfile
from pathlib import Path

TAIL_BYTES = 2**16 + 100
"""Bytes at the end of a file that hold the end record: 22 bytes, a comment of up to 64 KiB, the record of zip64."""

END, END_64 = b"PK\x05\x06", b"PK\x06\x06"

MOST_NAME_BYTES = 400
"""Mean size of an entry of the directory, 46 bytes and the name, up to which it is read."""


def checked_members(path: Path, most_members: int, most_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Reads the directory of a zip file.

    Args:
        path: of a regular file.
        most_members: that it may have.
        most_bytes: of all members when unpacked.

    Returns:
        The members by name.

    Raises:
        zipfile.BadZipFile, OSError, NotImplementedError: the file is no zip file.
        ValueError: it has too many members, two of one name or at one place, an encrypted one, or they are too large.
    """
    _check_directory_size(path, most_members)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > most_members:
        raise ValueError(f"{len(members):,} members, more than {most_members:,}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > most_bytes:
        raise ValueError(f"it would unpack to {unpacked} bytes")
    if sum(member.compress_size for member in members) > path.stat().st_size:
        raise ValueError("its members overlap")
    if len({member.header_offset for member in members}) < len(members):
        raise ValueError("two members at one place")
    by_name = {member.filename: member for member in members}
    if len(by_name) < len(members):
        raise ValueError("two members of one name")
    if secret := next((member.filename for member in members if member.flag_bits & 1), None):
        raise ValueError(f"{secret} is encrypted")
    return by_name


def _check_directory_size(path: Path, most_members: int) -> None:
    """Reads number of members and size of the directory from the end of the file."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("it is no zip file, or truncated")
    count, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    at_64 = tail.rfind(END_64, 0, at)
    if at_64 >= 0 and len(tail) >= at_64 + 56:
        count_64, bytes_64 = struct.unpack("<QQ", tail[at_64 + 32 : at_64 + 48])
        count, directory_bytes = max(count, count_64), max(directory_bytes % 0xFFFFFFFF, bytes_64)
    if (count > most_members and count != 0xFFFF) or directory_bytes > most_members * MOST_NAME_BYTES:
        raise ValueError(f"a directory of {count:,} members, more than {most_members:,}")
