"""Frames and sound of video files, on one clock. Importers need this package only, not its modules."""

from tavlo_pl.data.media.audio import SAMPLE_RATE_HZ
from tavlo_pl.data.media.container import MediaFile, MemoryFile
from tavlo_pl.data.media.limits import USUAL, Limits, set_limits
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
    "SAMPLE_RATE_HZ",
    "USUAL",
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
