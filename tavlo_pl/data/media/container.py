"""Opening a media file, with one clear error for each way it can fail, and the origin of its clock."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path, PurePosixPath

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tavlo_pl import env
from tavlo_pl.data.media.limits import FORMATS, limits
from tavlo_pl.errors import (
    CorruptMediaError,
    EmptyMediaError,
    MediaError,
    NoAudioError,
    NotMediaError,
    NoVideoError,
)
from tavlo_pl.io.timeout import too_slow

# The boxes an MP4 or MOV file can begin with; the one container whose index may come last.
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
# Formats that can say that a frame is to be turned.
_TURNING = {"mov", "matroska"}
# The first bytes of Matroska and WebM.
_MATROSKA = b"\x1aE\xdf\xa3"


VIDEO_SUFFIXES = frozenset(
    [".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"]
)


@dataclass(frozen=True)
class MemoryFile:
    """A media file in memory; wherever a path is taken, this is too.

    Args:
        name: what messages call it: ``part.tar.gz: videos/a.mp4``.
        content: its bytes.
    """

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


MediaFile = Path | MemoryFile


def as_media(file: str | Path | MemoryFile) -> MediaFile:
    """The file; a string is a path."""
    return Path(file) if isinstance(file, str) else file


@contextmanager
def open_media(path: MediaFile) -> Iterator[InputContainer]:
    """Open a file for reading; what FFmpeg finds wrong inside the `with` names the file too.

    Raises:
        EmptyMediaError: The file has no bytes.
        NotMediaError: The bytes are no known container.
        CorruptMediaError: The file is cut short or damaged.
        MediaError: There is no such file, it cannot be opened, its container keeps no presentation times, or its
            headers state more than the limits allow (see `media_limits`).
    """
    if isinstance(path, Path) and not path.is_file():
        raise MediaError(f"{path}: no such file; check the name or take it off the list")
    head = first_bytes(path)
    if not head:
        raise EmptyMediaError(f"{path}: the file is empty; fetch it again or leave it out")
    try:
        # The protocol is named, or FFmpeg would take one from a relative name such as "a:b.mp4".
        opened = BytesIO(path.content) if isinstance(path, MemoryFile) else f"file:{path}"
        options = {"format_whitelist": ",".join(FORMATS), **limits().for_decoder}
        container = av.open(
            opened, "r", options=options, metadata_errors="ignore", timeout=env.clip_timeout_s() or None
        )
    except av.error.ExitError as error:
        raise too_slow(path) from error
    except (av.InvalidDataError, av.ArgumentError) as error:
        if head[4:8] in _MP4_BOXES:
            raise CorruptMediaError(
                f"{path}: cut short or damaged: an MP4 without its index; fetch it again or leave it out"
            ) from error
        raise NotMediaError(f"{path}: not a media file, whatever its name says; fetch it again") from error
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror}; check the file") from error
    with container:
        try:
            _check_container(container, path)
            yield container
        except av.error.ExitError as error:
            raise too_slow(path) from error
        except av.FFmpegError as error:
            # A full disk, say, while a video is written, is not this file's fault; "try again" is.
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
                raise
            raise CorruptMediaError(
                f"{path}: damaged: {error.strerror}; fetch the file again or leave it out"
            ) from error


def is_video(name: str, file: MediaFile) -> bool:
    """Whether a file is to be taken for a video: its name says so, or its first bytes do; hidden files are none.

    Args:
        name: of the file, folders in front allowed.
        file: asked only where the name does not tell.
    """
    last = PurePosixPath(name)
    if last.name.startswith("."):
        return False
    if last.suffix.lower() in VIDEO_SUFFIXES:
        return True
    head = first_bytes(file)
    return head[4:8] in _MP4_BOXES or head[:4] == _MATROSKA


def first_bytes(path: MediaFile, count: int = 12) -> bytes:
    """The first bytes of a file, enough to tell a container by.

    Raises:
        MediaError: the file cannot be read.
    """
    if isinstance(path, MemoryFile):
        return path.content[:count]
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror}; check the file") from error


def _check_container(container: InputContainer, path: MediaFile) -> None:
    """Refuse what states too much, and what would decode without an error and yet wrongly."""
    limits().check(container, path)
    video = container.streams.video[:1]
    if is_avi(container) and video and video[0].codec_context and video[0].codec_context.has_b_frames:
        raise MediaError(f"{path}: AVI keeps no presentation times and this one has B-frames; convert the file to MP4")
    for stream in container.streams:
        # An MP4 index lists every packet: one that ends behind the file's end was cut off.
        entries = stream.index_entries
        if len(entries) and entries[-1].pos + entries[-1].size > container.size:
            raise CorruptMediaError(f"{path}: cut short; fetch the file again or leave it out")


def is_avi(container: InputContainer) -> bool:
    """Whether the container keeps decoding times only."""
    return container.format.name == "avi"


def demux(container: InputContainer, path: MediaFile, streams: Sequence[Stream] = ()) -> Iterator[Packet]:
    """The packets of some streams, or of all; the empty ones at the end flush a decoder.

    Those of an AVI get their decoding times as presentation times, which they are where no B-frame changes the order.
    FFmpeg's own guess is a frame late for H.264.

    Raises:
        CorruptMediaError: a stream begins that the headers did not name, of which PyAV makes an IndexError.
    """
    avi = is_avi(container)
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except IndexError as error:
            raise CorruptMediaError(
                f"{path}: damaged: a stream begins in the middle of it; fetch the file again or leave it out"
            ) from error
        if packet is None:
            return
        if avi and packet.size:
            packet.pts = packet.dts
        yield packet


def quarter_turns(frame: VideoFrame) -> int:
    """How often a decoded frame is to be turned by 90° counterclockwise to stand upright (phones store it lying)."""
    return round(frame.rotation / 90) % 4


def shown_size(path: MediaFile) -> tuple[int, int]:
    """(height, width) of the frame as it is to be seen: the first frame says whether it is stored rotated.

    Raises:
        MediaError: As `open_media`, and where there is no video stream.
    """
    with open_media(path) as container:
        video = video_stream(container, path)
        size = (video.codec_context.height, video.codec_context.width)
        if not _TURNING & {*container.format.name.split(",")}:
            return size
        try:
            frame = next(container.decode(video), None)
        except av.FFmpegError:  # damage is reported where the frames are read
            frame = None
        return size[::-1] if frame is not None and quarter_turns(frame) % 2 else size


def pixel_shape(video: VideoStream, shown: tuple[int, int]) -> Fraction:
    """Width of a pixel by its height in the frame as it is to be seen, whose (height, width) `shown_size` returns."""
    pixel = video.codec_context.sample_aspect_ratio or Fraction(1)  # None and 0: not stated
    lies = shown != (video.codec_context.height, video.codec_context.width)
    return 1 / pixel if lies else pixel


def video_stream(container: InputContainer, path: MediaFile) -> VideoStream:
    """The first video stream that is a video and not a cover image, set up for one decoder thread."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            _check_decoder(stream, path)
            if not stream.codec_context.width * stream.codec_context.height:  # FFmpeg takes none that is too large
                raise CorruptMediaError(
                    f"{path}: damaged: its video states no size, or more than the {limits().pixels:,} pixels that "
                    "limits.pixels allows; leave the file out"
                )
            stream.codec_context.thread_count = 1  # more cost CPU and gain nothing beside other workers
            stream.codec_context.options = limits().for_decoder  # frames may outgrow their headers
            return stream
    raise NoVideoError(f"{path}: no video stream; leave the file out or give another file")


def audio_stream(container: InputContainer, path: MediaFile) -> AudioStream:
    """The first audio stream."""
    for stream in container.streams.audio:
        _check_decoder(stream, path)
        return stream
    raise NoAudioError(f"{path}: no audio stream; leave the file out or give one with sound")


def _check_decoder(stream: Stream, path: MediaFile) -> None:
    if stream.codec_context is None:
        raise CorruptMediaError(
            f"{path}: damaged, or its {stream.type} codec is unknown; fetch it again or convert it to H.264"
        )


def origin_s(container: InputContainer) -> float:
    """Time 0 of the clip's clock on the file's: the earliest start of video or audio, at least 0."""
    first = [*container.streams.video[:1], *container.streams.audio[:1]]
    starts = [float(to_seconds(np.int64(s.start_time), s)) for s in first if s.start_time is not None]
    return max(0.0, min(starts, default=0.0))


def to_seconds(timestamps: np.ndarray | np.int64, stream: Stream) -> np.ndarray:
    """Timestamps of a stream, int64, as float64 seconds of the file's clock."""
    assert stream.time_base is not None, "a demuxed stream has a time base"
    return np.asarray(timestamps * stream.time_base.numerator / stream.time_base.denominator)


def to_ticks(time_s: float, stream: Stream) -> float:
    """Seconds of the file's clock, infinite ones too, in units of a stream's time base."""
    assert stream.time_base is not None, "a demuxed stream has a time base"
    return time_s * stream.time_base.denominator / stream.time_base.numerator
