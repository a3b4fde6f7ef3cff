"""What a file is that FFmpeg does not open as one of the accepted containers, by its first bytes."""

HEAD_BYTES = 512
"""Number of first bytes that decide."""

FETCH = "fetch it again"
CONVERT = "is not in the list of containers that are read; convert it to MP4 (ffmpeg -i FILE FILE.mp4)"
LIST = "not a media file but a list of other files, which are not opened; give the files in it"

_CONTAINERS = {
    b".RMF": "RealMedia",
    b"nut/multimedia": "NUT",
    b"YUV4MPEG2": "YUV4MPEG",
    b"DKIF": "IVF",
    b"FWS": "Flash (SWF)",
    b"CWS": "Flash (SWF)",
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11": "WTV",
    b"#!AMR": "AMR",
    b"MThd": "MIDI",
}
"""First bytes of media containers that are not accepted."""

_OTHERS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"BM": "a BMP image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip file",
    b"\x7fELF": "a program",
    b"version https://git-lfs": "a Git LFS pointer (git lfs pull fetches the file)",
    b"\x00\x05\x16\x07": "a resource fork of macOS",
}
"""First bytes of other files."""


def refusal(head: bytes) -> str:
    """Returns what a file is, and what to do, as the end of a sentence that begins with its path.

    Args:
        head: its first `HEAD_BYTES` bytes.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    container = next((name for begin, name in _CONTAINERS.items() if head.startswith(begin)), None)
    if container is not None:
        return f"{container} {CONVERT}"
    if text.startswith((b"#EXTM3U", b"ffconcat", b"[playlist]", b"<asx")) or b"<MPD" in text[:200]:
        return LIST
    other = next((name for begin, name in _OTHERS.items() if head.startswith(begin)), None)
    if text.lower().startswith((b"<!doctype html", b"<html", b"<head")):
        other = "an HTML page"
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        other = "a WebP image"
    elif head and not head.strip(b"\0"):
        other = f"one that begins with {len(head)} zero bytes, as unfinished downloads do"
    return f"not a media file{f' but {other}' if other else ''}; {FETCH}"
