"""Reads the contents of a video file without decoding it: size, length, streams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tavlo_pl.data.media.container import MediaFile, as_media
from tavlo_pl.data.media.display import pixel_aspect_ratio
from tavlo_pl.data.media.timed_file import open_timed
from tavlo_pl.data.media.video import file_orientation
from tavlo_pl.errors import NoAudioError
from tavlo_pl.io.timeout import limited

# Formats that browsers play: media type, container, video codecs, audio codecs.
_BROWSER_FORMATS = {
    "video/mp4": ("mov", {"h264"}, {"aac", "mp3"}),
    "video/webm": ("webm", {"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
_BROWSER_PIXEL_FORMATS = {"yuv420p", "yuvj420p"}


@dataclass(frozen=True)
class MediaInfo:
    """Contents of a video file as its packets state them.

    Attributes:
        path: the file.
        duration_s: length in seconds: the later end of video and audio.
        width: width of the upright frames in pixels.
        height: height of the upright frames in pixels.
        pixel_aspect_ratio: width divided by height of a pixel of the upright frames; 1 for nearly all videos.
        frame_rate: average frames per second; 0 if not stated. Do not compute the position of a frame from it.
        frame_count: number of frames that are shown.
        video_s: end of the video in seconds on the clip's clock.
        has_audio: whether there is an audio stream.
        audio_s: end of the audio in seconds on the clip's clock; None if there is no audio.
        notes: sentences about what the reader decided: a choice of streams, parts that are joined, a late first frame.
    """

    path: MediaFile
    duration_s: float
    width: int
    height: int
    pixel_aspect_ratio: float
    frame_rate: float
    frame_count: int
    video_s: float
    has_audio: bool
    audio_s: float | None
    notes: tuple[str, ...]


@limited
def probe(path: str | MediaFile) -> MediaInfo:
    """Reads the headers of all packets of a video file, and the orientation of its first frame.

    Raises:
        MediaError: the file does not exist, is empty, damaged or not a media file, or has no video stream; each has
            its own subclass.
    """
    path = as_media(path)
    with open_timed(path) as file:
        video, track = file.video()
        rate = video.average_rate or video.guessed_rate
        turned = file_orientation(file)
        height, width = turned.size(video.codec_context.height, video.codec_context.width)
        return MediaInfo(
            path=path,
            duration_s=file.timeline.end_s,
            width=width,
            height=height,
            pixel_aspect_ratio=float(pixel_aspect_ratio(video, turned)),
            frame_rate=float(rate) if rate else 0.0,
            frame_count=len(track.shown),
            video_s=track.end_s,
            has_audio=file.has_audio,
            audio_s=None if file.timeline.audio is None else file.timeline.audio.end_s,
            notes=file.scan.notes,
        )


def browser_type(path: Path) -> str | None:
    """Media type under which browsers play a file with its audio on the clip's clock; None if they may not play it.

    Raises:
        NoAudioError: there is no audio stream.
        MediaError: the errors of `probe`.
    """
    with open_timed(path) as file:
        (video, track), (audio, _) = file.video(), file.audio()
        has_choice = len(file.container.streams.video) > 1 or len(file.container.streams.audio) > 1
        has_edits = np.count_nonzero(track.restarts) > 1
        if file.scan.start_s != 0 or has_choice or has_edits or file_orientation(file).is_mirrored:
            return None
        if video.codec_context.pix_fmt not in _BROWSER_PIXEL_FORMATS:
            return None
        for kind, (name, video_codecs, audio_codecs) in _BROWSER_FORMATS.items():
            codecs = video.codec_context.codec.canonical_name, audio.codec_context.codec.canonical_name
            names = file.container.format.name.split(",")
            if name in names and codecs[0] in video_codecs and codecs[1] in audio_codecs:
                return kind
    return None


@limited
def probe_audio_duration(path: str | MediaFile) -> float:
    """End of a file's audio in seconds on the clip's clock; the file may be an audio file.

    Raises:
        NoAudioError: there is no audio stream, or it is empty.
        MediaError: the errors of `probe`.
    """
    path = as_media(path)
    with open_timed(path) as file:
        _, track = file.audio()
        if track is None:
            raise NoAudioError(f"{path}: its audio stream is empty; leave the file out or add audio to it")
        return track.end_s


def video_end_s(times_s: np.ndarray) -> float:
    """End of the video in seconds: the last frame is shown for the median duration of the frames.

    Args:
        times_s: (N,) presentation times of all frames, as returned by `frame_times`.
    """
    return float(times_s[-1] + (np.median(np.diff(times_s)) if len(times_s) > 1 else 0.0))
