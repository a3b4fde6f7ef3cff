"""Chooses the video and the audio stream of a file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from tavlo_pl import env
from tavlo_pl.data.media.container import MediaFile, demux, open_media
from tavlo_pl.data.media.limits import limits
from tavlo_pl.errors import ConfigError, CorruptMediaError, MediaError, NoAudioError, NoVideoError

_TRIED_PACKETS = 100
"""Packets of one of several streams of which one must give a frame, or else the next stream is taken."""


def select_streams(video: int | None, audio: int | None) -> None:
    """Selects streams for all files that this process and its child processes read.

    Args:
        video: number of the video stream, counted from 0; None keeps the choice of the environment.
        audio: number of the audio stream, likewise.

    Raises:
        ConfigError: a number is negative.
    """
    for kind, number in (("video", video), ("audio", audio)):
        if number is not None and number < 0:
            raise ConfigError(f"{kind}_stream is {number}; it must be the number of a stream, counted from 0.")
        if number is not None:
            os.environ[env.STREAMS[kind]] = str(number)


def selected_streams() -> dict[str, int] | None:
    """Numbers of the selected streams by kind; None if players' choice is used."""
    selected = {kind: number for kind in env.STREAMS if (number := env.stream_number(kind)) is not None}
    return selected or None


def candidates(container: InputContainer) -> list[Stream]:
    """The video and audio streams that could be chosen: cover images and unknown codecs are left out."""
    return [
        stream
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]


def choose(container: InputContainer, kind: str, count: Mapping[int, int], path: MediaFile) -> int | None:
    """Index of the stream that players show: the default one, and among several the first that can be decoded.

    Streams without packets are left out, and single images if there is a video. `select_streams` selects another
    stream by its number among those of its kind.

    Args:
        container: an open file.
        kind: ``video`` or ``audio``.
        count: number of packets of each candidate by index.
        path: the file, for messages.

    Raises:
        ConfigError: the environment selects no number.
        MediaError: the file has no stream of the number that the environment selects.
    """
    of_kind = [stream for stream in container.streams if stream.type == kind]
    number = env.stream_number(kind)
    if number is not None and of_kind:
        if not number < len(of_kind):
            raise MediaError(
                f"{path}: {kind}_stream is {number}, but the file has {len(of_kind)} {kind} streams, counted from 0; "
                "select another one"
            )
        return of_kind[number].index
    usable = [stream for stream in of_kind if count.get(stream.index)]
    if kind == "video" and any(count[stream.index] > 1 for stream in usable):
        usable = [stream for stream in usable if count[stream.index] > 1]
    usable.sort(key=lambda stream: not stream.disposition & Disposition.default)  # stable
    if len(usable) > 1:
        return next((stream.index for stream in usable if _decodes(stream.index, path)), usable[0].index)
    if usable:
        return usable[0].index
    rest = [stream.index for stream in of_kind if not stream.disposition & Disposition.attached_pic]
    return rest[0] if rest else None


def _decodes(index: int, path: MediaFile) -> bool:
    """Whether one of the first packets of a stream gives a frame; the file is opened once more."""
    with open_media(path) as container:
        stream = container.streams[index]
        if isinstance(stream, VideoStream):
            _limit_decoder(stream)
        for packet in itertools.islice(demux(container, path, [stream]), _TRIED_PACKETS):
            try:
                if packet.decode():
                    return True
            except (av.error.ExitError, MemoryError):
                raise
            except av.FFmpegError:  # also a PermissionError, for random bytes as AAC
                continue
    return False


def stream_note(container: InputContainer, kind: str, index: int | None) -> str | None:
    """One sentence that names the chosen stream of several; None if there was no choice."""
    indices = [
        stream.index
        for stream in container.streams
        if stream.type == kind and not stream.disposition & Disposition.attached_pic
    ]
    if index is None or len(indices) < 2:
        return None
    return (
        f"{len(indices)} {kind} streams: number {indices.index(index)} is used, counted from 0 "
        f"({kind}_stream selects another)"
    )


def video_stream(container: InputContainer, index: int | None, path: MediaFile) -> VideoStream:
    """The video stream of an index, configured for one decoder thread.

    Raises:
        NoVideoError: the index is None.
        CorruptMediaError: its codec or its size is unknown.
    """
    if index is None:
        raise NoVideoError(f"{path}: no video stream; leave the file out or use one with video")
    stream = container.streams[index]
    assert isinstance(stream, VideoStream), "the index is that of a video stream"
    _check_decoder(stream, path)
    context = stream.codec_context
    if not context.width * context.height:  # 0 where the size exceeds FFmpeg's max_pixels
        raise CorruptMediaError(
            f"{path}: damaged: its video states no size, or more than the {limits().pixels:,} pixels that "
            "limits.pixels allows; leave the file out"
        )
    _limit_decoder(stream)
    return stream


def _limit_decoder(stream: VideoStream) -> None:
    """Configures the decoder of a stream unless it is in use."""
    context = stream.codec_context
    if not context.is_open and context.thread_count != 1:
        context.thread_count = 1  # more threads cost CPU time and do not help beside other workers
        context.options = limits().for_decoder  # frames may be larger than the header states


def audio_stream(container: InputContainer, index: int | None, path: MediaFile) -> AudioStream:
    """The audio stream of an index.

    Raises:
        NoAudioError: the index is None.
        CorruptMediaError: its codec is unknown.
    """
    if index is None:
        raise NoAudioError(f"{path}: no audio stream; leave the file out or use one with audio")
    stream = container.streams[index]
    assert isinstance(stream, AudioStream), "the index is that of an audio stream"
    _check_decoder(stream, path)
    return stream


def _check_decoder(stream: Stream, path: MediaFile) -> None:
    if stream.codec_context is None:
        raise CorruptMediaError(
            f"{path}: damaged, or its {stream.type} codec is unknown; fetch it again or convert it to H.264"
        )
