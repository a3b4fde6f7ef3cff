"""Reads the headers of all packets of a file, chooses its streams, and makes its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tavlo_pl.data.media import streams
from tavlo_pl.data.media.container import MediaFile, demux, to_seconds
from tavlo_pl.data.media.limits import HAS_RESETS
from tavlo_pl.data.media.packets import Packets
from tavlo_pl.data.media.timeline import MAX_PARTS_PER_SECOND, Timeline, make_timeline
from tavlo_pl.errors import MediaError


@dataclass(frozen=True)
class Scan:
    """What was read about a file before decoding.

    Attributes:
        video: index of the video stream.
        audio: index of the audio stream.
        timeline: its packets on one rising clock.
        start_s: time 0 of the clip's clock on the file's clock of the first part, in seconds.
        notes: sentences about what the reader decided: a choice of streams, parts, a late first frame.
    """

    video: int | None
    audio: int | None
    timeline: Timeline
    start_s: float
    notes: tuple[str, ...] = ()


# Blocks of one codec differ by less: those of Vorbis by up to a factor of 32, with long ones in the majority.
_MAX_DURATION_RATIO = 32


class _Rows:
    """Headers of the packets of one stream while they are read."""

    def __init__(self) -> None:
        self.columns: list[tuple[int, int | None, int | None, int, bool, bool, bool]] = []

    def add(self, order: int, packet: Packet[Stream]) -> None:
        """Adds a packet."""
        self.columns.append(
            (
                order,
                packet.pts,
                packet.dts,
                packet.duration or 0,
                packet.is_keyframe,
                packet.is_discard,
                packet.is_corrupt,
            )
        )

    def repeat(self, packet: Packet[Stream]) -> None:
        """Adds a packet without content: the frame before it is shown for longer."""
        if self.columns and packet.pts is not None and (begin := self.columns[-1][1]) is not None:
            until = packet.pts + (packet.duration or 0) - begin
            self.columns[-1] = (*self.columns[-1][:3], max(self.columns[-1][3], until), *self.columns[-1][4:])

    def packets(self, stream: Stream, path: MediaFile) -> Packets:
        """The headers in seconds.

        Raises:
            MediaError: frames have no presentation times, which cannot be derived.
        """
        order, pts, dts, duration, key, discard, corrupt = zip(*self.columns, strict=True) if self.columns else [()] * 7
        ticks = _complete(pts, duration, stream, path)
        duration_s = to_seconds(np.array(duration, np.int64), stream)
        if isinstance(stream, AudioStream):
            duration_s = _without_padding(duration_s)
        return Packets(
            np.array(order, np.int64),
            ticks,
            to_seconds(ticks, stream),
            to_seconds(np.array([np.nan if tick is None else tick for tick in dts]), stream),
            duration_s,
            np.array(key, bool),
            np.array(discard, bool),
            np.array(corrupt, bool),
        )


def _without_padding(duration_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Durations of audio packets in seconds; FFmpeg lengthens the last packet of an edit that outlasts the audio."""
    usual_s = float(np.median(duration_s)) if len(duration_s) else 0.0
    return np.where((usual_s > 0) & (duration_s > _MAX_DURATION_RATIO * usual_s), usual_s, duration_s)


def _complete(
    pts: tuple[int | None, ...], duration: tuple[int, ...], stream: Stream, path: MediaFile
) -> NDArray[np.int64]:
    """(N,) int64 presentation timestamps; missing ones follow the packet before them.

    A packet of a transport stream may hold two frames, of which only the first has a time.

    Raises:
        MediaError: the order of presentation is not that of the packets.
    """
    if None not in pts:
        return np.array(pts, np.int64)
    has_order = not (isinstance(stream, VideoStream) and stream.codec_context.has_b_frames)
    known = [number for number, tick in enumerate(pts) if tick is not None]
    if not known or not has_order:
        raise MediaError(f"{path}: its frames have no presentation times; convert the file to MP4")
    ticks, step = np.zeros(len(pts), np.int64), 1.0
    for begin, end in zip([*known], [*known[1:], len(pts)], strict=True):
        first, count = pts[begin], end - begin
        after = pts[end] if end < len(pts) else None
        assert first is not None, "known packets have a time"
        if after is not None and after > first:
            step = (after - first) / count
        elif duration[begin]:
            step = duration[begin] / count
        ticks[begin:end] = first + np.rint(step * np.arange(count)).astype(np.int64)
    first_tick = pts[known[0]]
    assert first_tick is not None, "known packets have a time"
    ticks[: known[0]] = first_tick - np.arange(known[0], 0, -1)
    return ticks


def read_scan(container: InputContainer, path: MediaFile, kept: dict[int, list[Packet[Stream]]] | None) -> Scan:
    """Reads the headers of all packets.

    Args:
        container: an open file, which is read to its end.
        path: its name.
        kept: is filled with the packets of each stream by index, unless None.

    Raises:
        MediaError: the file has no presentation times, or they have no order.
    """
    rows = {stream.index: _Rows() for stream in streams.candidates(container)}
    if kept is not None:
        kept |= {index: [] for index in rows}
    for order, packet in enumerate(demux(container, path)):
        index = packet.stream.index
        if index not in rows:
            continue
        if not packet.size:
            rows[index].repeat(packet)
            continue
        rows[index].add(order, packet)
        if kept is not None:
            kept[index].append(packet)
    count = {index: len(each.columns) for index, each in rows.items()}
    chosen = {kind: streams.choose(container, kind, count, path) for kind in ("video", "audio")}
    packets = {
        kind: rows[index].packets(container.streams[index], path)
        for kind, index in chosen.items()
        if index is not None and count.get(index)
    }
    start_s = _start_s(container, chosen, packets)
    has_resets = bool(container.format.flags & HAS_RESETS)
    timeline = make_timeline(packets.get("video"), packets.get("audio"), start_s, has_resets)
    if timeline.parts - 2 > MAX_PARTS_PER_SECOND * timeline.end_s:
        raise MediaError(f"{path}: its timestamps go back {timeline.parts - 1} times; convert the file to MP4")
    notes = [streams.stream_note(container, kind, index) for kind, index in chosen.items()]
    if timeline.parts > 1:
        notes.append(f"{timeline.parts} parts with clocks of their own are joined")
    return Scan(chosen["video"], chosen["audio"], timeline, start_s, tuple(filter(None, notes)))


def _start_s(container: InputContainer, chosen: Mapping[str, int | None], packets: Mapping[str, Packets]) -> float:
    """Time 0 of the clip's clock on the file's clock: the earlier start of video and audio."""
    starts = []
    for kind, index in chosen.items():
        if index is not None and kind in packets:
            stream = container.streams[index]
            if stream.start_time is not None:
                starts.append(float(to_seconds(np.int64(stream.start_time), stream)))
            else:
                starts.append(float(packets[kind].pts_s.min()))
    return min(starts, default=0.0)
