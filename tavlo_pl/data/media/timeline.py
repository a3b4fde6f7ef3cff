"""Maps the presentation times of a file to one rising clock, which all readers use.

A file may hold several **parts** with clocks of their own: recordings that were concatenated byte by byte restart the
clock, overlap by some frames or jump by hours, and the 33-bit clock of MPEG wraps. Players close such discontinuities;
so does this clock:

- Time 0 is the earliest start of the video and the audio of the first part.
- A part begins where the times of a stream go back, or where an MPEG clock leaves a gap of more than 10 s in which
  neither stream has a packet. Both streams change to the new part, each at its own first packet.
- All times of a part are shifted by one amount, which keeps its frames and its audio together: its first frame follows
  the last frame of the part before it. Audio of the two parts may overlap by 0.1 s, the padding of encoders; if it
  overlaps by more, the part begins later.
- A part is shown from its first key frame on; the frames that depend on earlier ones are left out.

Edit lists repeat and reorder packets: FFmpeg has given these packets the times of the edited video, and marked those
to discard that are needed for decoding only. Segments that overlap are moved apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.media.packets import Packets
from tavlo_pl.data.media.parts import MAX_AUDIO_OVERLAP_S, TIME_TOLERANCE_S, assign_parts

MAX_PARTS_PER_SECOND = 2.0
"""Files with more parts have meaningless timestamps."""

_TOLERATED_PACKETS = 3  # packets at the end of a part which the start of the next one makes look damaged


@dataclass(frozen=True)
class Track:
    """The packets of one stream on the rising clock.

    Attributes:
        packets: the headers.
        part: (N,) int64, number of the part of each packet, ascending.
        stray: (N,) bool, whether the time of a packet is damaged: it fits neither the packets before nor those after.
        shift_s: (P,) float64, what is added to the times of a part to get times on the rising clock.
        shown: (M,) int64, packets whose frames are shown, in the order of time.
        shown_s: (M,) float64, their times in seconds, strictly ascending.
        end_s: end of the last frame or audio block in seconds.
    """

    packets: Packets
    part: NDArray[np.int64]
    stray: NDArray[np.bool_]
    shift_s: NDArray[np.float64]
    shown: NDArray[np.int64]
    shown_s: NDArray[np.float64]
    end_s: float

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(N,) time of each packet in seconds."""
        return self.packets.pts_s + self.shift_s[self.part]

    @property
    def positions(self) -> NDArray[np.int64]:
        """(N,) position of each packet in `shown`; unique negative numbers for packets that are not shown."""
        positions = -1 - np.arange(len(self.packets))
        positions[self.shown] = np.arange(len(self.shown))
        return positions

    @property
    def restarts(self) -> NDArray[np.bool_]:
        """(N,) whether decoding starts anew at a packet: at the start of a part, and where an edit list goes back."""
        before = np.roll(self.packets.pts_s, 1)
        starts = self.packets.key & (self.packets.pts_s < before) | (self.part != np.roll(self.part, 1))
        starts[:1] = True
        return np.asarray(starts, bool)

    @property
    def damaged(self) -> NDArray[np.bool_]:
        """(N,) whether a piece of a packet is missing.

        FFmpeg also marks the last packets before a place where streams were joined, since the packet counter of a
        transport stream restarts there. These are complete, or the decoder reports that they are not.
        """
        key = self.packets.key
        joins = (
            np.append(False, np.diff(self.part) > 0) if key.all() else key | np.append(False, np.diff(self.part) > 0)
        )
        joins = np.append(joins, np.zeros(_TOLERATED_PACKETS, bool))
        count = len(self.part)
        is_joined = np.any([joins[ahead : ahead + count] for ahead in range(1, _TOLERATED_PACKETS + 1)], axis=0)
        return np.asarray(self.packets.corrupt & ~is_joined, bool)

    def begin_part_at(self, part: int, time_s: float) -> Track:
        """Returns the track without the frames of a part that are shown before a time."""
        kept = (self.part[self.shown] != part) | (self.shown_s >= time_s)
        return replace(self, shown=self.shown[kept], shown_s=self.shown_s[kept])


@dataclass(frozen=True)
class Timeline:
    """The video and the audio of a file on one rising clock.

    Attributes:
        video: None without a video stream.
        audio: None without an audio stream.
        parts: number of parts with clocks of their own.
    """

    video: Track | None
    audio: Track | None
    parts: int

    @property
    def end_s(self) -> float:
        """Length of the file: the later end of video and audio, in seconds."""
        return max((track.end_s for track in (self.video, self.audio) if track is not None), default=0.0)


def make_timeline(video: Packets | None, audio: Packets | None, start_s: float, has_resets: bool) -> Timeline:
    """Places the packets of a file on one rising clock.

    Args:
        video: packets of the video stream, if there is one.
        audio: packets of the audio stream, if there is one.
        start_s: start of the first part in seconds on the file's clock.
        has_resets: whether the container's clock may be reset within a file, as that of MPEG-TS and MPEG-PS.
    """
    video = None if video is None else _separate_edits(video)
    streams = {name: packets for name, packets in (("video", video), ("audio", audio)) if packets is not None}
    part, stray = assign_parts(streams, has_resets)
    shown = {name: _shown(packets, part[name], stray[name], name == "video") for name, packets in streams.items()}
    parts = 1 + max((int(numbers.max(initial=0)) for numbers in part.values()), default=0)
    shift_s = _shifts(streams, part, shown, parts) - start_s
    tracks = {name: _track(packets, part[name], stray[name], shift_s, shown[name]) for name, packets in streams.items()}
    return Timeline(tracks.get("video"), tracks.get("audio"), parts)


def _separate_edits(packets: Packets) -> Packets:
    """Lets each segment of an edit list begin after the one before it.

    FFmpeg lets them overlap by some frames where a segment does not begin or end at a frame of a video with B-frames.
    """
    if not packets.discard.any():
        return packets
    pts_s = packets.pts_s.copy()
    starts = np.flatnonzero(packets.key & (pts_s < np.roll(pts_s, 1)))
    end_s = -np.inf
    for begin, end in zip([0, *starts], [*starts, len(pts_s)], strict=True):
        shown = begin + np.flatnonzero(~packets.discard[begin:end])
        if len(shown):
            overlap_s = end_s - pts_s[shown].min()
            if overlap_s > TIME_TOLERANCE_S:
                pts_s[begin:end] += overlap_s
            end_s = float((pts_s + packets.duration_s)[shown].max())
    return replace(packets, pts_s=pts_s)


def _track(
    packets: Packets,
    part: NDArray[np.int64],
    stray: NDArray[np.bool_],
    shift_s: NDArray[np.float64],
    shown: NDArray[np.int64],
) -> Track:
    time_s = packets.pts_s + shift_s[part]
    ordered = shown[np.argsort(time_s[shown], kind="stable")]
    shown_s = time_s[ordered]
    is_last = np.append(np.diff(shown_s) > 0, True)[: len(ordered)]  # of frames with one time, the last one remains
    end_s = float((shown_s + _durations(packets, ordered, shown_s)).max(initial=0.0))
    return Track(packets, part, stray, shift_s, ordered[is_last], shown_s[is_last], end_s)


def _durations(packets: Packets, shown: NDArray[np.int64], shown_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Durations in seconds of shown packets; the median distance where the file states none."""
    median_s = float(np.median(np.diff(shown_s))) if len(shown_s) > 1 else 0.0
    stated_s = packets.duration_s[shown]
    return np.where(stated_s > 0, stated_s, median_s)


def _shown(packets: Packets, part: NDArray[np.int64], stray: NDArray[np.bool_], is_video: bool) -> NDArray[np.int64]:
    """Packets that are shown, in decoding order: those of each part from its first key frame on."""
    is_shown = ~packets.discard & ~stray
    if is_video:
        for number in np.unique(part):
            members = np.flatnonzero(part == number)
            keys = members[packets.key[members]]
            first = keys[0] if len(keys) else members[0]
            is_shown[members[(members < first) | (packets.pts_s[members] < packets.pts_s[first])]] = False
    return np.flatnonzero(is_shown)


def _shifts(
    streams: dict[str, Packets], part: dict[str, NDArray[np.int64]], shown: dict[str, NDArray[np.int64]], parts: int
) -> NDArray[np.float64]:
    """(parts,) seconds to add to the times of each part, so that it begins where the part before it ends."""
    shift_s = np.zeros(parts)
    end_s: dict[str, float] = {}
    for number in range(parts):
        spans = {}
        for name, packets in streams.items():
            members = shown[name][part[name][shown[name]] == number]
            if len(members):
                times_s = packets.pts_s[members]
                ordered = np.sort(times_s)
                last_s = float((times_s + _durations(packets, members, ordered)).max())
                spans[name] = (float(ordered[0]), last_s)
        needed_s = {name: end_s[name] - begin_s for name, (begin_s, _) in spans.items() if name in end_s}
        if number:
            shift_s[number] = _closing_shift(needed_s, shift_s[number - 1])
        end_s |= {name: last_s + shift_s[number] for name, (_, last_s) in spans.items()}
    return shift_s


def _closing_shift(needed_s: dict[str, float], default_s: float) -> float:
    """Shift of a part, from the shift that closes the gap in each stream."""
    if not needed_s:
        return default_s
    latest_s = max(needed_s.values())
    video_s = needed_s.get("video", latest_s)
    return video_s if latest_s - video_s <= MAX_AUDIO_OVERLAP_S else latest_s
