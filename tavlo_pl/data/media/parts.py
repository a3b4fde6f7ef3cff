"""Divides a file into parts with clocks of their own; see `timeline` for what a part is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.media.packets import Packets

MAX_GAP_S = 10.0
"""Gap in an MPEG clock above which the clock was reset; FFmpeg's command line uses the same value."""

MAX_AUDIO_OVERLAP_S = 0.1
"""Audio of two parts may overlap by this much: encoders pad the last block."""

TIME_TOLERANCE_S = 1e-3
"""Rounding of times; Matroska rounds to milliseconds."""

_BACK_S = 0.1  # decoding times that go back by less are rounding errors of the muxer
_SMALL_JUMP_S = 1.0  # a packet cannot be assigned by its time to one of two clocks that differ by less
_CONTIGUOUS_S = 5e-3  # audio packets of one part follow each other up to the rounding of their times
_TAIL_PACKETS = 3  # packets ahead in which audio of the part before may break off


@dataclass
class _Clock:
    """The clock of one stream while its packets are assigned to parts; times in seconds on the file's clock."""

    part: int = -1
    dts_s: float = -np.inf
    latest_s: float = -np.inf
    end_s: float = -np.inf

    def goes_back(self, name: str, pts_s: float, dts_s: float, key: bool, only_keys: bool) -> bool:
        """Whether a packet is shown or decoded before earlier packets of the stream."""
        if name == "audio":
            return pts_s < self.end_s - MAX_AUDIO_OVERLAP_S
        if key and pts_s < self.latest_s - TIME_TOLERANCE_S:  # frames decoded before a key frame are shown before it
            return True
        # Decoding times alone are not trusted: FFmpeg estimates those that a container leaves out.
        return not only_keys and dts_s < self.dts_s - _BACK_S and pts_s < self.latest_s - _SMALL_JUMP_S

    def advance(self, pts_s: float, dts_s: float, end_s: float) -> None:
        """Adds a packet of the same part."""
        self.dts_s = dts_s if np.isfinite(dts_s) else self.dts_s
        self.latest_s, self.end_s = max(self.latest_s, pts_s), max(self.end_s, end_s)


def assign_parts(
    streams: dict[str, Packets], has_resets: bool
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.bool_]]]:
    """(N,) number of the part of each packet of each stream, and whether its time is damaged."""
    part = {name: np.zeros(len(packets), np.int64) for name, packets in streams.items()}
    stray = {name: np.zeros(len(packets), bool) for name, packets in streams.items()}
    if not _may_have_parts(streams, has_resets):
        return part, stray
    names = [name for name, packets in streams.items() for _ in range(len(packets))]
    places = np.concatenate([np.arange(len(packets)) for packets in streams.values()])
    order = np.argsort(np.concatenate([packets.order for packets in streams.values()]), kind="stable")
    clocks = {name: _Clock() for name in streams}
    only_keys = not has_resets  # only MPEG containers are cut between key frames; elsewhere, it is damage
    newest, jump_s, begin_s, covered_s = 0, 0.0, -np.inf, -np.inf  # of the newest part
    for position in order.tolist():
        name, place = names[position], int(places[position])
        packets, clock = streams[name], clocks[name]
        if packets.discard[place]:
            part[name][place] = max(clock.part, 0)
            continue
        pts_s, dts_s = float(packets.pts_s[place]), float(packets.dts_s[place])
        end_s, key = pts_s + float(packets.duration_s[place]), bool(packets.key[place])
        if clock.part < newest:
            away_s = max(begin_s - pts_s, pts_s - covered_s, 0.0)  # from the times of the newest part
            if clock.part < 0 or (
                not _is_tail(name, packets, place, clock.end_s)
                if abs(jump_s) < _SMALL_JUMP_S
                else away_s <= abs(pts_s - clock.end_s)
            ):
                clock = clocks[name] = _Clock(newest)
        elif clock.goes_back(name, pts_s, dts_s, key, only_keys) or (
            has_resets and np.isfinite(covered_s) and pts_s > covered_s + MAX_GAP_S
        ):
            if not _is_confirmed(packets, place, clock.end_s):
                part[name][place], stray[name][place] = clock.part, True
                continue
            jump_s, begin_s, covered_s = pts_s - clock.end_s, pts_s, pts_s
            newest += 1
            clock = clocks[name] = _Clock(newest)
        clock.part = max(clock.part, 0)
        clock.advance(pts_s, dts_s, end_s)
        part[name][place] = clock.part
        if clock.part == newest:
            covered_s = max(covered_s, end_s)
    return part, stray


def _is_tail(name: str, packets: Packets, place: int, end_s: float) -> bool:
    """Whether an audio packet continues a part whose next break is a few packets ahead.

    FFmpeg returns the last packet of a stream when the next one begins, which may be behind the first frame of the next
    part.
    """
    if name != "audio" or abs(packets.pts_s[place] - end_s) > _CONTIGUOUS_S:
        return False
    near = slice(place, place + _TAIL_PACKETS + 1)
    begin_s, duration_s = packets.pts_s[near], packets.duration_s[near]
    return bool((np.abs(np.diff(begin_s) - duration_s[:-1]) > _CONTIGUOUS_S).any())


def _is_confirmed(packets: Packets, place: int, end_s: float) -> bool:
    """Whether the packet after one that leaves the clock stays there; a single one has a damaged timestamp."""
    if abs(packets.pts_s[place] - end_s) < _SMALL_JUMP_S:
        return True
    after_s = packets.pts_s[place + 1 : place + 2]
    return bool((np.abs(after_s - packets.pts_s[place]) <= np.abs(after_s - end_s)).all())


def _may_have_parts(streams: dict[str, Packets], has_resets: bool) -> bool:
    """Whether a file needs to be divided into parts; nearly all files do not."""
    for name, packets in streams.items():
        shown = ~packets.discard
        pts_s, dts_s = packets.pts_s[shown], packets.dts_s[shown]
        if not len(pts_s):
            continue
        latest_s = np.maximum.accumulate(pts_s + (packets.duration_s[shown] if name == "audio" else 0))
        limit_s = MAX_AUDIO_OVERLAP_S if name == "audio" else TIME_TOLERANCE_S
        is_back = (pts_s[1:] < latest_s[:-1] - limit_s) & (packets.key[shown][1:] | (name == "audio"))
        steps_s = np.diff(dts_s[np.isfinite(dts_s)])
        if is_back.any() or (has_resets and (steps_s < -_BACK_S).any()):
            return True
    if not has_resets or not streams:
        return False
    order = np.argsort(np.concatenate([packets.order for packets in streams.values()]), kind="stable")
    begin_s = np.concatenate([packets.pts_s for packets in streams.values()])[order]
    end_s = begin_s + np.concatenate([packets.duration_s for packets in streams.values()])[order]
    return bool((begin_s[1:] > np.maximum.accumulate(end_s)[:-1] + MAX_GAP_S).any())
