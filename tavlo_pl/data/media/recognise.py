"""Which files are videos, by suffix or first bytes: the same for all commands."""

from pathlib import PurePosixPath

from tavlo_pl.data.media.container import MediaFile, first_bytes

VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m1v", ".m2t", ".m2ts", ".m2v"),
        *(".m4v", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".ogm", ".ogv", ".qt"),
        *(".trp", ".ts", ".vob", ".webm", ".wmv"),
    )
)
"""Suffixes of videos, in lower case."""

OTHER_SUFFIXES = frozenset(
    (
        *(".aac", ".aif", ".aiff", ".amr", ".ape", ".avif", ".cr3", ".flac", ".heic", ".heif", ".jpeg", ".jpg"),
        *(".m4a", ".m4b", ".m4r", ".mka", ".mp3", ".oga", ".opus", ".png", ".wav", ".webp", ".wma"),
    )
)
"""Suffixes of audio and images, whose containers can be those of videos."""

UNFINISHED_SUFFIXES = frozenset([".crdownload", ".download", ".part", ".partial", ".tmp", ".ytdl"])
"""Suffixes of unfinished downloads."""

HEAD_BYTES = 400
"""First bytes by which a container is recognised."""

_PACKET_BYTES = {0: 188, 4: 192}
"""Length of a packet of an MPEG transport stream, by the position of its synchronisation byte."""

_HEADS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"\x1f\x07\x00",  # DV
)

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_IMAGE_OR_AUDIO_BRANDS = (b"avif", b"crx ", b"heic", b"heix", b"mif1", b"msf1", b"M4A ", b"M4B ")


def is_hidden(name: str) -> bool:
    """Whether a file is hidden, by its name."""
    return PurePosixPath(name).name.startswith(".")


def is_unfinished(name: str) -> bool:
    """Whether a file is an unfinished download, by its suffix."""
    return PurePosixPath(name).suffix.lower() in UNFINISHED_SUFFIXES


def is_video(name: str, file: MediaFile) -> bool:
    """Whether a file is a video, by its suffix or its first bytes; hidden files and unfinished downloads are not.

    Args:
        name: name of the file, with or without folders.
        file: the file, which is opened only if its suffix says nothing.

    Raises:
        MediaError: the file had to be opened and cannot be read.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if is_hidden(name) or is_unfinished(name) or suffix in OTHER_SUFFIXES:
        return False
    return suffix in VIDEO_SUFFIXES or is_video_content(first_bytes(file, HEAD_BYTES))


def has_video_suffix(name: str) -> bool:
    """Whether a file is a video by its suffix alone."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def is_video_content(head: bytes) -> bool:
    """Whether the first bytes are those of a video in an accepted container.

    Args:
        head: the first `HEAD_BYTES` bytes of a file.
    """
    if head[4:8] in _MP4_BOXES:
        return not (head[4:8] == b"ftyp" and head[8:12] in _IMAGE_OR_AUDIO_BRANDS)
    if head.startswith(_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return True
    if head.startswith(b"OggS"):
        return b"theora" in head or b"OVP80" in head
    return any(head[at : at + length + 1 : length] == b"GG" for at, length in _PACKET_BYTES.items())
