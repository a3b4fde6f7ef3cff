"""Files of several parts with clocks of their own, edit lists, and what a sequential decoder makes of a file."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from tavlo_pl.data import media
from tests.helpers.clips import has_flash, read_number, write_numbered
from tests.helpers.media_cases import numbers, peaks_s

CODECS: dict[str, dict[str, Any]] = {
    ".webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    ".mpg": {"video_codec": "mpeg2video", "audio_codec": "mp2"},
}
FLV_HEADER_BYTES = 13
TS_PACKET_BYTES = 188


def concatenate(path: Path, starts_s: Sequence[float], seconds: float = 1.0, **form: Any) -> Path:
    """Writes parts of one format behind each other, byte by byte.

    Each part has a click and a flash 0.4 s after its start. The numbers of the frames continue from part to part.

    Args:
        path: Destination; its suffix chooses the container.
        starts_s: Start of each part on its own clock.
        seconds: Length of each part.
        form: Arguments of `write_numbered`; a list has one value for each part.
    """
    content = b""
    for number, start_s in enumerate(starts_s):
        chosen = {name: value[number] if isinstance(value, list) else value for name, value in form.items()}
        part = path.with_name(f"part{number}{path.suffix}")
        write_numbered(
            part,
            seconds=seconds,
            first=round(number * seconds * 25),
            video_start_s=start_s,
            audio_start_s=start_s,
            click_s=(0.4,),
            **CODECS.get(path.suffix, {}) | chosen,
        )
        skipped = FLV_HEADER_BYTES if path.suffix == ".flv" and number else 0
        content += part.read_bytes()[skipped:]
        part.unlink()
    path.write_bytes(content)
    return path


def renumber(path: Path) -> None:
    """Makes the packet counters of a transport stream continuous, as recorders do that join streams."""
    content, counters = bytearray(path.read_bytes()), dict[int, int]()
    for at in range(0, len(content), TS_PACKET_BYTES):
        pid = (content[at + 1] & 31) << 8 | content[at + 2]
        count = counters.get(pid, -1) + (1 if content[at + 3] & 16 else 0)
        counters[pid] = count
        content[at + 3] = content[at + 3] & 0xF0 | count & 15
    path.write_bytes(content)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        yield name, content[at + 8 : at + size]
        at += size


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def edit(path: Path, segments: Sequence[tuple[float | None, float]]) -> None:
    """Replaces the edit list of each stream of an MP4 file whose index is at its end.

    Args:
        path: The file.
        segments: Start and length of each segment in seconds of the stored video; None for a pause.
    """

    def edits(edts: bytes, movie_scale: int, media_scale: int) -> bytes:
        first = struct.unpack_from(">i", dict(_boxes(edts))[b"elst"], 12)[0]
        starts = [-1 if start_s is None else max(first, 0) + round(start_s * media_scale) for start_s, _ in segments]
        entries = [
            struct.pack(">iiHH", round(length_s * movie_scale), start, 1, 0)
            for start, (_, length_s) in zip(starts, segments, strict=True)
        ]
        return _box(b"elst", struct.pack(">II", 0, len(segments)) + b"".join(entries))

    def track(trak: bytes, movie_scale: int) -> bytes:
        media_scale = struct.unpack_from(">I", dict(_boxes(dict(_boxes(trak))[b"mdia"]))[b"mdhd"], 12)[0]
        return b"".join(
            _box(name, edits(inner, movie_scale, media_scale) if name == b"edts" else inner)
            for name, inner in _boxes(trak)
        )

    def movie(moov: bytes) -> bytes:
        scale = struct.unpack_from(">I", dict(_boxes(moov))[b"mvhd"], 12)[0]
        return b"".join(_box(name, track(inner, scale) if name == b"trak" else inner) for name, inner in _boxes(moov))

    content = [(name, movie(inner) if name == b"moov" else inner) for name, inner in _boxes(path.read_bytes())]
    path.write_bytes(b"".join(_box(name, inner) for name, inner in content))


@dataclass(frozen=True)
class Sequential:
    """What FFmpeg decodes from start to end, without a seek and without the reader under test.

    Attributes:
        numbers: the number that each frame shows, in the order of decoding.
        flashes: positions of the frames with a flash.
        clicks: number of clicks in the audio.
    """

    numbers: list[int]
    flashes: list[int]
    clicks: int


def decode_all(path: Path) -> Sequential:
    """Decodes a file from start to end."""
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        blocks = [np.abs(frame.to_ndarray()).astype(np.float64).max(0) for frame in container.decode(audio=0)]
    loud = np.flatnonzero(np.concatenate(blocks) > 0.2 * np.concatenate(blocks).max())
    clicks = 1 + int((np.diff(loud) > 1000).sum())
    flashes = [number for number, image in enumerate(images) if has_flash(image)]
    return Sequential([read_number(image) for image in images], flashes, clicks)


def assert_same_as_sequential(path: Path, with_audio: bool = True) -> media.MediaInfo:
    """Asserts that the reader shows the frames of a sequential decoder, in order, with each click at its flash.

    Args:
        path: The file.
        with_audio: Whether each flash has its click; an edit may cut one and leave the other.
    """
    expected, info, time_s = decode_all(path), media.probe(path), media.frame_times(path)
    assert (np.diff(time_s) > 0).all() and time_s[0] >= 0
    clip = media.read_clip(path, time_s, None, 0.0, info.duration_s)
    assert numbers(clip.frames) == expected.numbers
    order = np.random.default_rng(0).permutation(len(time_s))[:5]
    assert numbers(media.read_clip(path, time_s[order], None, 0.0, 0.0).frames) == [expected.numbers[n] for n in order]
    if with_audio:
        assert_in_sync(time_s, clip, expected.flashes)
    assert info.duration_s >= time_s[-1]
    return info


def assert_in_sync(time_s: np.ndarray, clip: media.DecodedClip, flashes: Sequence[int]) -> None:
    """Asserts that there is one click at each flash, within the frame and the padding of a codec."""
    heard_s = peaks_s(clip.waveform)
    assert len(heard_s) == len(flashes)
    until_s = np.append(time_s[1:], time_s[-1] + 0.04)
    for heard, number in zip(heard_s, flashes, strict=True):
        assert time_s[number] - 0.012 <= heard <= until_s[number] + 0.012
