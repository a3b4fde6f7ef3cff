"""Videos of many containers and codecs whose frames show their number, and how to read the numbers back."""

from typing import Any

import numpy as np
import pytest

from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tests.helpers.clips import NTSC, read_number

B_PYRAMID = "keyint=12:bframes=3:b-pyramid=normal:b-adapt=0"
VARIABLE = np.cumsum(np.random.default_rng(0).uniform(0.015, 0.12, 30)) - 0.015
CASES: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "ntsc.mp4": {"rate": NTSC, "x264": B_PYRAMID},
    "b_frames.mp4": {"x264": B_PYRAMID},
    "open_gop.mp4": {"x264": B_PYRAMID + ":open-gop=1"},
    "variable.mp4": {"times_s": VARIABLE, "x264": B_PYRAMID},
    "variable.mkv": {"times_s": VARIABLE},
    "both_late.mp4": {"video_start_s": 0.7, "audio_start_s": 0.7, "x264": B_PYRAMID},
    "sound_late.mp4": {"audio_start_s": 0.4},
    "video_late.mp4": {"video_start_s": 0.7, "click_s": (1.0, 1.5)},
    "b_frames.mkv": {"x264": B_PYRAMID},
    "late.mkv": {"video_start_s": 0.2, "audio_start_s": 0.4},
    "transport.ts": {"x264": B_PYRAMID},
    "open_gop.ts": {"x264": B_PYRAMID + ":open-gop=1"},
    "fragmented.mp4": {"x264": B_PYRAMID, "options": {"movflags": "frag_keyframe+empty_moov"}},
}
CASES |= {
    "old.avi": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le", "channel_gains": (1.0, 0.5)},
    "camera.avi": {"video_codec": "mjpeg", "audio_codec": "pcm_s16le", "sample_rate_hz": 8000},
    "h264.avi": {"audio_codec": "pcm_s16le"},
    "web.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus", "channel_gains": (1.0, 1.0)},
    "prores.mov": {"video_codec": "prores_ks", "audio_codec": "pcm_s16le", "sample_rate_hz": 96_000},
    "mjpeg.mov": {"video_codec": "mjpeg", "channel_gains": (1.0,) * 6},
    "upright.mp4": {"turn_deg": -90, "size": (160, 96), "x264": B_PYRAMID},
    "head_down.mov": {"turn_deg": 180},
    "left.mkv": {"turn_deg": 90, "size": (160, 96)},
}
each_case = pytest.mark.parametrize("name", CASES)
REWRITTEN = ["variable.mp4", "both_late.mp4", "late.mkv", "transport.ts", "open_gop.ts"]
REWRITTEN += ["h264.avi", "web.webm", "prores.mov", "mjpeg.mov", "upright.mp4"]


def numbers(frames: np.ndarray) -> list[int]:
    """The number that each frame shows."""
    return [read_number(frame) for frame in frames]


def peaks_s(waveform: np.ndarray) -> list[float]:
    """Times of the tops of all bumps."""
    loud = np.flatnonzero(waveform > 0.2)
    bumps = np.split(loud, np.flatnonzero(np.diff(loud) > 100) + 1) if len(loud) else []
    return [float(bump[np.argmax(waveform[bump])]) / SAMPLE_RATE_HZ for bump in bumps]


def with_hole(data: bytes, share: float) -> bytes:
    """The bytes of a file with 400 zeros at a share of its length."""
    at = int(len(data) * share)
    return data[:at] + bytes(400) + data[at + 400 :]
