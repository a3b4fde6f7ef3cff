"""Reads and writes video files: frames and audio on one clock. This package re-exports its public names."""

from tavlo_pl.data.media.audio import SAMPLE_RATE_HZ
from tavlo_pl.data.media.container import MediaFile, MemoryFile, local_media
from tavlo_pl.data.media.limits import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.data.media.probe import MediaInfo, browser_type, probe, probe_audio_duration, video_end_s
from tavlo_pl.data.media.read import DecodedClip, frame_times, read_clip, read_waveform
from tavlo_pl.data.media.redraw import map_frames
from tavlo_pl.data.media.streams import select_streams, selected_streams
from tavlo_pl.data.media.write import write_clip
from tavlo_pl.io.remote import RemoteFile

__all__ = [
    "DEFAULT_LIMITS",
    "SAMPLE_RATE_HZ",
    "DecodedClip",
    "Limits",
    "MediaFile",
    "MediaInfo",
    "MemoryFile",
    "RemoteFile",
    "browser_type",
    "frame_times",
    "local_media",
    "map_frames",
    "probe",
    "probe_audio_duration",
    "read_clip",
    "read_waveform",
    "select_streams",
    "selected_streams",
    "set_limits",
    "video_end_s",
    "write_clip",
]
