"""Reads frames and audio of a video file, on one clock.

Time 0 of a clip is the earliest presentation time of the file's video and audio; all times are in seconds from there.
Frames are selected by the presentation times of the packets and not by a frame rate, so that variable rates, late
starts, B-frames and edit lists give the frame that a player shows. Audio is placed by its own timestamps, so that
encoder padding and late starts do not shift it. Files of several parts have one rising clock, see `timeline`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tavlo_pl.data.media.audio import audio_packets, decode_audio
from tavlo_pl.data.media.container import MediaFile, as_media
from tavlo_pl.data.media.timed_file import TimedFile, open_timed
from tavlo_pl.data.media.timeline import Track
from tavlo_pl.data.media.video import DecodePlan, decode_frames
from tavlo_pl.errors import CorruptMediaError, NoAudioError
from tavlo_pl.io.timeout import limited

# Rounding tolerance of requested times: 1.6 - 1.4 is slightly more than 0.2.
_TIME_TOLERANCE_S = 1e-6
# Packets from which frames are decoded in order that cannot be decoded from the key frame before them: intra-refresh
# streams need some hundred, others all.
_RETRIES = (300, sys.maxsize)


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
def frame_times(path: str | MediaFile) -> np.ndarray:
    """Reads the presentation times of all frames that a player shows from the packets, without decoding.

    Returns:
        (N,) float64, seconds on the clip's clock, strictly ascending.

    Raises:
        MediaError: the errors of `probe`, or the file has no presentation times.
    """
    with open_timed(as_media(path)) as file:
        _, track = file.video()
        return track.shown_s.copy()


@limited
def read_clip(
    path: str | MediaFile,
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
    frames, frame_time_s = np.empty((0, 0, 0, 3), np.uint8), np.empty(0)
    waveform = np.zeros(0, np.float32)
    if wanted_s.size or duration_s > 0:
        with open_timed(path) as file:
            chosen = _shown_at(file.video()[1], wanted_s) if wanted_s.size else np.empty(0, np.int64)
            track = _audio_track(file) if duration_s > 0 else None
            decoded, sound = _decode(file, set(chosen.tolist()), size, track, start_s, duration_s)
            shown_s = file.video()[1].shown_s if wanted_s.size else np.empty(0)
        for back in _RETRIES:
            if missing := set(chosen.tolist()) - decoded.keys():
                with open_timed(path) as file:
                    decoded |= _decode(file, missing, size, None, 0.0, 0.0, back)[0]
        if missing := set(chosen.tolist()) - decoded.keys():
            raise CorruptMediaError(
                f"{path}: damaged: {len(missing)} of {len(set(chosen.tolist()))} wanted frames cannot be decoded; "
                "fetch the file again or leave it out"
            )
        if wanted_s.size:
            frames, frame_time_s = np.stack([decoded[at] for at in chosen.tolist()]), shown_s[chosen]
        waveform = waveform if sound is None else sound
    return DecodedClip(frames, frame_time_s, waveform)


@limited
def read_waveform(path: str | MediaFile, start_s: float, duration_s: float) -> np.ndarray:
    """Reads the audio of a span: (L,) float32, mono at 16 kHz, L = round(duration_s * 16000); see `read_clip`."""
    return read_clip(path, (), None, start_s, duration_s, with_video=False).waveform


def _shown_at(track: Track, times_s: np.ndarray) -> np.ndarray:
    """Positions in ``track.shown`` of the frames shown at some times."""
    return np.maximum(np.searchsorted(track.shown_s, times_s + _TIME_TOLERANCE_S, side="right") - 1, 0)


def _audio_track(file: TimedFile) -> Track:
    _, track = file.audio()
    if track is None:
        raise NoAudioError(f"{file.path}: its audio stream is empty; leave the file out or add audio to it")
    return track


def _decode(
    file: TimedFile,
    wanted: set[int],
    size: tuple[int, int] | None,
    audio: Track | None,
    start_s: float,
    duration_s: float,
    back: int | None = None,
) -> tuple[dict[int, np.ndarray], np.ndarray | None]:
    """Decodes frames by their position in ``track.shown``, and the audio of a span if its track is given."""
    needed, plan = {}, None
    if wanted:
        video, track = file.video()
        plan = DecodePlan(track, wanted, back)
        needed[video.index] = plan.packets
    if audio is not None:
        needed[file.audio()[0].index] = audio_packets(audio, start_s, duration_s)
    packets = file.packets(needed)
    frames: dict[int, np.ndarray] = {}
    if plan is not None:
        frames = decode_frames(file, plan, packets[video.index], size)
    if audio is None:
        return frames, None
    stream = file.audio()[0]
    return frames, decode_audio(stream, audio, packets.get(stream.index, {}), start_s, duration_s, file.path)
