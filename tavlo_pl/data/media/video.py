"""Decodes wanted frames from video packets, and as few other frames as possible.

Each group of wanted frames is decoded from the preceding key frame, and the decoder skips other non-reference frames;
with ten frames a clip, this takes about 0.6 of the time of a full decode. If a wanted frame is not decoded this way,
all packets since the last restart of the stream are decoded in order. A frame that is missing even then is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tavlo_pl.data.media.container import MediaFile, open_media
from tavlo_pl.data.media.display import Orientation, orientation, to_rgb
from tavlo_pl.data.media.streams import video_stream
from tavlo_pl.data.media.timed_file import TimedFile
from tavlo_pl.data.media.timeline import Track
from tavlo_pl.errors import CorruptMediaError

_MAX_ORIENTATIONS = 100_000


class DecodePlan:
    """Runs of packets from which the wanted frames of a track are decoded.

    Args:
        track: the video track.
        wanted: positions of frames in ``track.shown``.
        back: None decodes each group of wanted frames from the key frame before it; a number decodes all packets in
            order, from a key frame at least this many packets before the first wanted one, or from the last restart.
    """

    def __init__(self, track: Track, wanted: set[int], back: int | None) -> None:
        self.track = track
        self.wanted = wanted
        self.back = back
        packets = np.sort(track.shown[sorted(wanted)])
        self.runs = _runs_from_key_frames(track, packets) if back is None else _runs_in_order(track, packets, back)
        self.is_strict = all(track.packets.key[run[0]] and not _leads(track, run[0]) for run in self.runs)
        """Whether each run begins with a frame on which all of the run depend. The decoder then need not conceal."""

    @property
    def packets(self) -> NDArray[np.int64]:
        """Numbers of all packets, ascending."""
        return np.concatenate(self.runs) if self.runs else np.empty(0, np.int64)


def _groups(track: Track) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """First packet of each group of frames, and whether the group needs packets of the group before it.

    Decoding cannot start at a key frame that is followed by frames shown before it (an open GOP): these frames, and the
    decoder's count of reference frames, depend on earlier packets.
    """
    restarts, time_s = track.restarts, track.packets.pts_s
    first = np.flatnonzero(track.packets.key | restarts)
    is_open = (np.minimum.reduceat(time_s, first) < time_s[first]) & ~restarts[first]
    return first, is_open


def _leads(track: Track, number: np.int64) -> bool:
    """Whether the group that begins with a packet has frames that are shown before it."""
    after = track.packets.key[number + 1 :]
    end = number + 1 + (int(np.argmax(after)) if after.any() else len(after))
    return bool((track.packets.pts_s[number:end] < track.packets.pts_s[number]).any())


def _runs_from_key_frames(track: Track, packets: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Runs from a key frame to the last wanted packet before the next run."""
    first, is_open = _groups(track)
    time_s = track.packets.pts_s
    ends = np.append(first[1:], len(time_s))
    group = np.searchsorted(first, packets, side="right") - 1
    begin = int(group[0])
    while is_open[begin] and time_s[packets[group == group[0]]].min() < time_s[first[begin]]:
        begin -= 1
    runs: list[NDArray[np.int64]] = []
    for number in range(begin, int(group[-1]) + 1):
        members = np.arange(first[number], ends[number])
        if runs and is_open[number]:
            runs[-1] = np.append(runs[-1], members)
        else:
            runs.append(members[time_s[members] >= time_s[members[0]]] if is_open[number] else members)
    last = [np.flatnonzero(np.isin(run, packets))[-1:] for run in runs]
    return [run[: int(end[0]) + 1] for run, end in zip(runs, last, strict=True) if len(end)]


def _runs_in_order(track: Track, packets: NDArray[np.int64], back: int) -> list[NDArray[np.int64]]:
    """Runs of all packets, from a key frame before the wanted packets or the last restart to the last wanted one."""
    restarts = np.flatnonzero(track.restarts)
    ends = np.append(restarts[1:], len(track.packets))
    runs = []
    for number in np.unique(np.searchsorted(restarts, packets, side="right") - 1):
        within = packets[(packets >= restarts[number]) & (packets < ends[number])]
        keys = np.flatnonzero(track.packets.key[: max(int(within[0]) - back, 0)])
        begin = max(int(restarts[number]), int(keys[-1]) if len(keys) else 0)
        runs.append(np.arange(begin, int(within[-1]) + 1))
    return runs


def decode_frames(
    file: TimedFile, plan: DecodePlan, packets: Mapping[int, Packet[Stream]], size: tuple[int, int] | None
) -> dict[int, np.ndarray]:
    """Decodes the wanted frames of a plan.

    Args:
        file: the open file.
        plan: the wanted frames.
        packets: the packets of the plan by number.
        size: height and width of the frames in pixels; None keeps that of the first frame of the file.

    Returns:
        (H, W, 3) uint8 RGB of each wanted frame by its position in ``track.shown``; without those that cannot be
        decoded this way.

    Raises:
        CorruptMediaError: a part of a packet is missing.
    """
    video, _ = file.video()
    if plan.track.damaged[plan.packets].any():
        raise CorruptMediaError(f"{file.path}: damaged: a part of it is missing; fetch the file again or leave it out")
    if plan.is_strict:
        # Raises an error for damage that the decoder would conceal, and also for a start in an open GOP.
        video.codec_context.options |= {"err_detect": "explode"}
    positions = plan.track.positions
    for number, packet in packets.items():  # unique, unlike timestamps; the decoder copies them
        packet.pts = int(positions[number])
    skip: Literal["NONREF", "DEFAULT"] = "NONREF" if plan.back is None else "DEFAULT"
    try:
        return _decode_runs(file, video, plan, packets, size, skip)
    except av.InvalidDataError:
        return {}


def _decode_runs(
    file: TimedFile,
    video: VideoStream,
    plan: DecodePlan,
    packets: Mapping[int, Packet[Stream]],
    size: tuple[int, int] | None,
    skip: Literal["NONREF", "DEFAULT"],
) -> dict[int, np.ndarray]:
    """Decodes runs of packets; returns the wanted and undamaged frames."""
    reformatter = VideoReformatter()
    frames: dict[int, np.ndarray] = {}
    context = video.codec_context
    stored = context.height, context.width  # later frames may have another size
    for run in plan.runs:
        context.flush_buffers()
        for packet in [*(packets[number] for number in run.tolist()), None]:
            # NONREF skips frames that no other frame depends on, except the wanted ones.
            context.skip_frame = skip if packet is not None and packet.pts not in plan.wanted else "DEFAULT"
            for frame in context.decode(packet):
                if frame.pts in plan.wanted and not frame.is_corrupt:
                    turned = file_orientation(file) if frame.side_data.get("DISPLAYMATRIX") else Orientation()
                    frames[frame.pts] = to_rgb(frame, turned, size or turned.size(*stored), reformatter)
    return frames


class FrameDecoder:
    """Decodes all packets of a video in order; the decoder is flushed where the stream restarts.

    Args:
        video: the stream.
        track: its packets.
        path: the file, for messages.
    """

    def __init__(self, video: VideoStream, track: Track, path: MediaFile) -> None:
        self._context, self._path = video.codec_context, path
        self._positions, self._restarts, self._damaged = track.positions, track.restarts, track.damaged
        self._shown_s = track.shown_s

    def decode(self, number: int, packet: Packet[Stream]) -> Iterator[tuple[int, VideoFrame]]:
        """Decodes a packet.

        Args:
            number: its number in the track; packets are decoded in ascending order.
            packet: the packet.

        Yields:
            Position in ``track.shown`` and the frame, of frames that are shown.

        Raises:
            CorruptMediaError: a frame that is shown is damaged.
        """
        if number and self._restarts[number]:
            yield from self.flush()
            self._context.flush_buffers()
        packet.pts = int(self._positions[number])
        if self._damaged[number] and packet.pts >= 0:
            raise self._damage(packet.pts)
        yield from self._shown(packet)

    def flush(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yields the frames that the decoder still holds."""
        yield from self._shown(None)

    def _shown(self, packet: Packet[Stream] | None) -> Iterator[tuple[int, VideoFrame]]:
        for frame in self._context.decode(packet):
            if frame.pts is not None and frame.pts >= 0:
                if frame.is_corrupt:
                    raise self._damage(frame.pts)
                yield frame.pts, frame

    def _damage(self, position: int) -> CorruptMediaError:
        time_s = self._shown_s[position]
        return CorruptMediaError(f"{self._path}: damaged at {time_s:.2f} s; fetch the file again or leave it out")


def first_frame(file: TimedFile) -> VideoFrame | None:
    """The first frame of a file that can be decoded; None for a damaged file, which is reported when it is read."""
    return next(iter(_first_frames(file, 1)), None)


def _first_frames(file: TimedFile, count: int) -> list[VideoFrame]:
    """The first frames that can be decoded, at most `count`."""
    with open_media(file.path) as container:
        video = video_stream(container, file.scan.video, file.path)
        try:
            frames = (frame for packet in container.demux(video) for frame in video.decode(packet))
            return list(islice(frames, count))
        except MemoryError:
            raise
        except av.FFmpegError:
            return []


_orientations: dict[object, Orientation] = {}


def file_orientation(file: TimedFile) -> Orientation:
    """How the frames of a file are displayed: by the display matrix of the file.

    H.264 may state another orientation in its key frames alone. Browsers ignore it, and so does this function, unless
    every frame states it.
    """
    if file.key not in _orientations:
        frames = [orientation(frame) for frame in _first_frames(file, 2)]
        if len(_orientations) >= _MAX_ORIENTATIONS:
            _orientations.clear()
        _orientations[file.key] = frames[-1] if frames else Orientation()
    return _orientations[file.key]
