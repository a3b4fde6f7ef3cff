"""Reads and writes video files: frames and audio on one clock. This package re-exports its public names."""

from tavlo_pl.data.media.audio import SAMPLE_RATE_HZ
from tavlo_pl.data.media.container import MediaFile, MemoryFile
from tavlo_pl.data.media.limits import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.data.media.read import (
    DecodedClip,
    MediaInfo,
    browser_type,
    frame_times,
    probe,
    probe_audio_duration,
    read_clip,
    read_waveform,
    video_end_s,
)
from tavlo_pl.data.media.write import map_frames, write_clip

__all__ = [
    "DEFAULT_LIMITS",
    "SAMPLE_RATE_HZ",
    "DecodedClip",
    "Limits",
    "MediaFile",
    "MediaInfo",
    "MemoryFile",
    "browser_type",
    "frame_times",
    "map_frames",
    "probe",
    "probe_audio_duration",
    "read_clip",
    "read_waveform",
    "set_limits",
    "video_end_s",
    "write_clip",
]
