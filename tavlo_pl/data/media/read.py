"""Reads frames and audio of a video file, on one clock.

Time 0 of a clip is the earliest presentation time of the file's video and audio, and never before time 0 of the file;
all times are in seconds from there. Frames are selected by the presentation times of the packets and not by a frame
rate, so that variable rates, late starts, B-frames and edit lists give the frame that a player shows. Audio is placed
by its own timestamps, so that encoder padding and late starts do not shift it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from tavlo_pl.data.media.audio import AUDIO_MARGIN_S, decode_audio
from tavlo_pl.data.media.container import (
    MediaFile,
    MemoryFile,
    as_media,
    audio_stream,
    demux,
    display_size,
    open_media,
    origin_s,
    pixel_aspect_ratio,
    to_seconds,
    to_ticks,
    video_stream,
)
from tavlo_pl.data.media.limits import limits
from tavlo_pl.data.media.video import decode_frames, shown_pts
from tavlo_pl.errors import CorruptMediaError
from tavlo_pl.io.timeout import limited

# Rounding tolerance of requested times: 1.6 - 1.4 is slightly more than 0.2.
_TIME_TOLERANCE_S = 1e-6
# A Matroska file that ends this much before its stated length is truncated.
_TRUNCATED_S = 0.5
# Formats with an index of key frames; other formats seek to an estimated byte.
_INDEXED = {"mov", "matroska", "avi"}
# Spans that begin earlier are read as fast without a seek.
_SEEK_FROM_S = 2.0
# Maximum distance in the file of a key frame and the audio of the same time.
_SEEK_EARLY_S = 1.0
# Formats that browsers play: media type, container, video codecs, audio codecs.
_BROWSER_FORMATS = {
    "video/mp4": ("mov", {"h264"}, {"aac", "mp3"}),
    "video/webm": ("webm", {"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
_BROWSER_PIXEL_FORMATS = {"yuv420p", "yuvj420p"}


@dataclass(frozen=True)
class MediaInfo:
    """Contents of the headers of a video file.

    Attributes:
        path: the file.
        duration_s: length in seconds.
        width: width of the upright frames in pixels.
        height: height of the upright frames in pixels.
        pixel_aspect_ratio: width divided by height of a pixel of the upright frames; 1 for nearly all videos.
        frame_rate: average frames per second; 0 if not stated. Do not compute the position of a frame from it.
        frame_count: number of frames; None if not stated.
        video_s: length of the video stream in seconds; that of the file if not stated.
        has_audio: whether there is an audio stream.
        audio_s: end of the audio in seconds on the clip's clock; None if there is no audio or its end is not stated.
    """

    path: MediaFile
    duration_s: float
    width: int
    height: int
    pixel_aspect_ratio: float
    frame_rate: float
    frame_count: int | None
    video_s: float
    has_audio: bool
    audio_s: float | None


@dataclass(frozen=True)
class DecodedClip:
    """Frames and audio of one span of a file.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        frame_time_s: (T,) float64, presentation times of the frames in seconds on the clip's clock.
        waveform: (L,) float32, mono at 16 kHz; sample n is at time ``start_s + n / 16000``.
    """

    frames: np.ndarray
    frame_time_s: np.ndarray
    waveform: np.ndarray


@limited
def probe(path: str | Path | MemoryFile) -> MediaInfo:
    """Reads the headers of a video file, and the rotation of its first frame.

    Raises:
        MediaError: the file does not exist, is empty, damaged or not a media file, or has no video stream; each has
            its own subclass.
    """
    path = as_media(path)
    with open_media(path) as container:
        video = video_stream(container, path)
        rate = video.average_rate or video.guessed_rate
        if container.duration:
            duration_s = container.duration / av.time_base
        else:
            duration_s = float(frame_times(path)[-1]) + (float(1 / rate) if rate else 0.0)
            limits().check_duration(duration_s, path)
        height, width = display_size(path)
        return MediaInfo(
            path=path,
            duration_s=duration_s,
            width=width,
            height=height,
            pixel_aspect_ratio=float(pixel_aspect_ratio(video, (height, width))),
            frame_rate=float(rate) if rate else 0.0,
            frame_count=video.frames or None,
            video_s=float(to_seconds(np.int64(video.duration), video)) if video.duration else duration_s,
            has_audio=bool(container.streams.audio),
            audio_s=_audio_end_s(container, container.streams.audio[0]) if container.streams.audio else None,
        )


def browser_type(path: Path) -> str | None:
    """Media type under which browsers play a file with its audio on the clip's clock; None if they may not play it.

    Raises:
        NoAudioError: there is no audio stream.
        MediaError: the errors of `probe`.
    """
    with open_media(path) as container:
        video, audio = video_stream(container, path), audio_stream(container, path)
        if origin_s(container) > 0 or video.codec_context.pix_fmt not in _BROWSER_PIXEL_FORMATS:
            return None
        for kind, (name, video_codecs, audio_codecs) in _BROWSER_FORMATS.items():
            codecs = video.codec_context.codec.canonical_name, audio.codec_context.codec.canonical_name
            if name in container.format.name.split(",") and codecs[0] in video_codecs and codecs[1] in audio_codecs:
                return kind
    return None


@limited
def probe_audio_duration(path: str | Path | MemoryFile) -> float:
    """End of a file's audio in seconds on the clip's clock; the file may be an audio file.

    Raises:
        NoAudioError: there is no audio stream.
        MediaError: the errors of `probe`, or the file does not state the length.
    """
    path = as_media(path)
    with open_media(path) as container:
        end_s = _audio_end_s(container, audio_stream(container, path))
        if end_s is None:
            raise CorruptMediaError(f"{path}: it does not state its length; convert the file to WAV or FLAC")
        return end_s


def _audio_end_s(container: InputContainer, audio: AudioStream) -> float | None:
    if audio.duration:
        return float(to_seconds(np.int64((audio.start_time or 0) + audio.duration), audio)) - origin_s(container)
    return container.duration / av.time_base if container.duration else None


@limited
def frame_times(path: str | Path | MemoryFile) -> np.ndarray:
    """Reads the presentation times of all frames that a player shows from the packets, without decoding.

    Returns:
        (N,) float64, seconds on the clip's clock, ascending.

    Raises:
        MediaError: the errors of `probe`, or the file has no presentation times.
    """
    path = as_media(path)
    with open_media(path) as container:
        video = video_stream(container, path)
        packets, _ = _packets(container, path, video, None, -math.inf, math.inf, seek=False) or ([], [])
        return to_seconds(shown_pts(packets, path), video) - origin_s(container)


def video_end_s(times_s: np.ndarray) -> float:
    """End of the video in seconds: the last frame is shown for the median duration of the frames.

    Args:
        times_s: (N,) presentation times of all frames, as returned by `frame_times`.
    """
    return float(times_s[-1] + (np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0))


@limited
def read_clip(
    path: str | Path | MemoryFile,
    times_s: Sequence[float] | np.ndarray,
    size: tuple[int, int] | None,
    start_s: float,
    duration_s: float,
    with_video: bool = True,
) -> DecodedClip:
    """Decodes the frames shown at some times and the audio of a span, in one pass over the file.

    The frame shown at time x is the last one whose presentation time is at most x, or the first frame if there is none.
    Frames are scaled by area averaging during the conversion to RGB; training and evaluation use the same kernel. The
    waveform is the mean of the channels (FFmpeg's float downmix is 3 dB louder), for surround sound the mean of the
    stereo downmix, and 0 where the file has no audio.

    Args:
        path: a video file.
        times_s: T times in seconds on the clip's clock, in any order.
        size: height and width of the frames in pixels; None keeps the file's.
        start_s: start of the audio in seconds on the clip's clock.
        duration_s: length of the audio in seconds; 0 reads no audio and requires no audio stream.
        with_video: False reads no frames and requires no video stream.

    Raises:
        NoVideoError: frames are requested and there is no video stream.
        NoAudioError: audio is requested and there is no audio stream.
        CorruptMediaError: a requested frame or the audio cannot be decoded without errors.
        MediaError: the errors of `probe`.
    """
    path = as_media(path)
    wanted_s = np.asarray(times_s, np.float64) if with_video else np.empty(0)
    spans = [(wanted_s.min(), wanted_s.max())] if wanted_s.size else []
    spans += [(start_s, start_s + duration_s)] if duration_s > 0 else []
    frames, frame_time_s = np.empty((0, 0, 0, 3), np.uint8), np.empty(0)
    waveform = np.zeros(0, np.float32)
    if not spans:
        return DecodedClip(frames, frame_time_s, waveform)
    for seek in (True, False):
        with open_media(path) as container:
            video = video_stream(container, path) if wanted_s.size else None
            audio = audio_stream(container, path) if duration_s > 0 else None
            origin = origin_s(container)
            since_s = origin + min(begin for begin, _ in spans) - 2 * AUDIO_MARGIN_S
            until_s = origin + max(end for _, end in spans) + AUDIO_MARGIN_S
            found = _packets(container, path, video, audio, since_s, until_s, seek)
            if found is None:
                continue
            video_packets, audio_packets = found
            if video is not None:
                pts = shown_pts(video_packets, path)
                time_s = to_seconds(pts, video) - origin
                chosen = np.maximum(np.searchsorted(time_s, wanted_s + _TIME_TOLERANCE_S, side="right") - 1, 0)
                decoded = decode_frames(video, video_packets, set(pts[chosen].tolist()), size, path)
                frames = np.stack([decoded[at] for at in pts[chosen].tolist()])
                frame_time_s = time_s[chosen]
            if audio is not None:
                waveform = decode_audio(audio, audio_packets, origin, start_s, duration_s, path)
            break
    return DecodedClip(frames, frame_time_s, waveform)


@limited
def read_waveform(path: str | Path | MemoryFile, start_s: float, duration_s: float) -> np.ndarray:
    """Reads the audio of a span: (L,) float32, mono at 16 kHz, L = round(duration_s * 16000); see `read_clip`."""
    return read_clip(path, (), None, start_s, duration_s, with_video=False).waveform


def _packets(
    container: InputContainer,
    path: MediaFile,
    video: VideoStream | None,
    audio: AudioStream | None,
    since_s: float,
    until_s: float,
    seek: bool,
) -> tuple[list[Packet[Stream]], list[Packet[Stream]]] | None:
    """Reads the packets that decoding a span of the file's clock may need.

    Only packets from the last key frame before the span on are kept, so that a clip of a long video needs little
    memory.

    Returns:
        Video packets and audio packets in decoding order. None if seeking did not lead to a key frame of each stream at
        or before the span; the file must then be read from its start.
    """
    streams = [stream for stream in (video, audio) if stream is not None]
    kept: dict[int, list[Packet[Stream]]] = {stream.index: [] for stream in streams}
    until = {stream.index: to_ticks(until_s, stream) for stream in streams}
    since = {stream.index: to_ticks(since_s, stream) for stream in streams}
    running = set(kept)
    last: dict[int, Packet[Stream]] = {}
    sought = seek and since_s > _SEEK_FROM_S and _INDEXED & {*container.format.name.split(",")}
    if sought and not _seek(container, streams[0], since_s - _SEEK_EARLY_S):
        return None
    for packet in demux(container, path):
        if not packet.size:
            continue
        index, dts = packet.stream_index, packet.dts
        last[index] = packet
        if index not in kept:
            continue
        if packet.is_keyframe and packet.pts is not None and packet.pts <= since[index]:
            kept[index].clear()
        kept[index].append(packet)
        # No later packet of a stream is shown before the decoding time of this one.
        if dts is not None and dts > until[index]:
            running.discard(index)
            if not running:
                break
    else:
        _check_end(container, path, last.values())
    if sought and not all(_begins_before(kept[index], since[index]) for index in kept):
        return None
    return (kept[video.index] if video is not None else [], kept[audio.index] if audio is not None else [])


def _seek(container: InputContainer, stream: Stream, time_s: float) -> bool:
    """Seeks to a key frame at or before a time on the file's clock; returns False if the container cannot seek."""
    try:
        container.seek(int(to_ticks(time_s, stream)), stream=stream)
    except av.FFmpegError:
        return False
    return True


def _begins_before(packets: list[Packet[Stream]], tick: float) -> bool:
    """Whether decoding can begin with these packets at a time at or before `tick`."""
    return bool(packets) and packets[0].is_keyframe and packets[0].pts is not None and packets[0].pts <= tick


def _check_end(container: InputContainer, path: MediaFile, last: Iterable[Packet[Stream]]) -> None:
    """Raises an error if a Matroska file ends before its stated length; other containers do not state it exactly."""
    if "matroska" not in container.format.name or not container.duration:
        return
    stated_s = ((container.start_time or 0) + container.duration) / av.time_base
    ends_s = max((float(((p.pts or 0) + (p.duration or 0)) * p.time_base) for p in last), default=0.0)
    if ends_s < stated_s - _TRUNCATED_S:
        raise CorruptMediaError(
            f"{path}: truncated or damaged: it ends at {ends_s:.2f} s of {stated_s:.2f} s; "
            "fetch it again or leave it out"
        )
