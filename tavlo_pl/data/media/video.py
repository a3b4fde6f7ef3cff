"""Decodes wanted frames from video packets, and as few other frames as possible.

The packets are read first, which costs little time. Each group of wanted frames is decoded from the preceding key
frame, and the decoder skips other non-reference frames; with ten frames a clip, this takes about 0.6 of the time of a
full decode. If a wanted frame is not decoded this way, all packets are decoded in order. A frame that is missing even
then is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from tavlo_pl.data.media.container import MediaFile, quarter_turns
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError, MediaError


def shown_pts(packets: list[Packet[Stream]], path: MediaFile) -> np.ndarray:
    """(N,) int64: ascending presentation timestamps of the frames that a player shows."""
    shown = [packet.pts for packet in _showable(packets, path) if not packet.is_discard]  # edit lists discard
    if not shown:
        raise EmptyMediaError(f"{path}: no frame is left to show; fetch the file again or leave it out")
    return np.unique(np.array(shown, np.int64))


def decode_frames(
    video: VideoStream,
    packets: list[Packet[Stream]],
    wanted: set[int],
    size: tuple[int, int] | None,
    path: MediaFile,
) -> dict[int, np.ndarray]:
    """Decodes the frames with the wanted timestamps.

    Args:
        video: the stream of the packets.
        packets: its packets in decoding order.
        wanted: presentation timestamps, in units of the stream's time base.
        size: height and width of the frames in pixels; None keeps the file's.
        path: the file, for messages.

    Returns:
        (H, W, 3) uint8 RGB frame of each wanted timestamp.

    Raises:
        CorruptMediaError: a wanted frame cannot be decoded.
    """
    usable = _showable(packets, path)
    if len(usable) == len(packets):
        # Raises an error for damage that the decoder would conceal, and also for a start in an open GOP.
        video.codec_context.options |= {"err_detect": "explode"}
    try:
        frames = _decode_groups(video, _plan(usable, wanted), wanted, size, skip="NONREF")
    except av.InvalidDataError:
        frames = {}
    if wanted - frames.keys():
        frames = _decode_groups(video, [usable], wanted, size, skip="DEFAULT")
    if missing := wanted - frames.keys():
        raise CorruptMediaError(
            f"{path}: damaged: {len(missing)} of {len(wanted)} wanted frames cannot be decoded; "
            "fetch the file again or leave it out"
        )
    return frames


def _showable(packets: list[Packet[Stream]], path: MediaFile) -> list[Packet[Stream]]:
    """The packets from the first key frame on, without the frames that depend on earlier ones."""
    if not packets:
        raise EmptyMediaError(f"{path}: its video stream holds no frame; fetch the file again or leave it out")
    if any(packet.pts is None for packet in packets):
        raise MediaError(f"{path}: its frames have no presentation times; convert the file to MP4")
    first = next((number for number, packet in enumerate(packets) if packet.is_keyframe), 0)
    kept = [packet for packet in packets[first:] if _pts(packet) >= _pts(packets[first])]
    if any(packet.is_corrupt for packet in kept):  # a packet of a transport stream is missing
        raise CorruptMediaError(f"{path}: damaged: a part of it is missing; fetch the file again or leave it out")
    return kept


def _plan(packets: list[Packet[Stream]], wanted: set[int]) -> list[list[Packet[Stream]]]:
    """Runs of packets, each from a key frame to the last wanted frame before the next run.

    Decoding cannot start at a key frame that is followed by frames shown before it (an open GOP): these frames, and the
    decoder's count of reference frames, depend on earlier packets.
    """
    groups: list[list[Packet[Stream]]] = []
    for packet in packets:
        if packet.is_keyframe or not groups:
            groups.append([])
        groups[-1].append(packet)
    runs: list[list[Packet[Stream]]] = []
    for group in groups:
        if runs and min(map(_pts, group)) < _pts(group[0]):
            runs[-1] += group
        else:
            runs.append(group)
    ends = [max((n for n, packet in enumerate(run, 1) if packet.pts in wanted), default=0) for run in runs]
    return [run[:end] for run, end in zip(runs, ends, strict=True) if end]


def _pts(packet: Packet[Stream]) -> int:
    assert packet.pts is not None, "_showable rejects packets without a timestamp"
    return packet.pts


def _decode_groups(
    video: VideoStream,
    groups: Iterable[list[Packet[Stream]]],
    wanted: set[int],
    size: tuple[int, int] | None,
    skip: Literal["NONREF", "DEFAULT"],
) -> dict[int, np.ndarray]:
    """Decodes runs of packets; returns the wanted and undamaged frames, upright and scaled, by timestamp."""
    reformatter = VideoReformatter()
    frames: dict[int, np.ndarray] = {}
    context = video.codec_context
    for group in groups:
        context.flush_buffers()
        for packet in [*group, None]:
            # NONREF skips frames that no other frame depends on, except the wanted ones.
            context.skip_frame = skip if packet is not None and packet.pts not in wanted else "DEFAULT"
            for frame in context.decode(packet):
                if frame.pts in wanted and not frame.is_corrupt:
                    frames[frame.pts] = _upright(frame, size, reformatter)
    return frames


def _upright(frame: VideoFrame, size: tuple[int, int] | None, reformatter: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 of a frame, upright and scaled."""
    rotations = quarter_turns(frame)
    height, width = (frame.height, frame.width) if size is None else size[:: -1 if rotations % 2 else 1]
    scaled = reformatter.reformat(frame, width, height, "rgb24", interpolation=Interpolation.AREA, threads=1)
    return np.rot90(scaled.to_ndarray(), rotations)
