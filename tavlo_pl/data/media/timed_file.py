"""Opens a file with its timeline, and reads chosen packets of it.

The headers of all packets are read once, which is a few per cent of the time of decoding. The timelines of the last
files are kept, and a small file is not read twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tavlo_pl import env
from tavlo_pl.data.media import streams
from tavlo_pl.data.media.container import MediaFile, MemoryFile, demux, open_media, to_seconds, to_ticks
from tavlo_pl.data.media.edits import check_edits
from tavlo_pl.data.media.limits import limits
from tavlo_pl.data.media.scan import Scan, read_scan
from tavlo_pl.data.media.timeline import Timeline, Track
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError
from tavlo_pl.io.remote import on_disk

# The packets of smaller files are kept while the file is open.
_KEPT_BYTES = 2**26
# Packets of all timelines that a process keeps; each takes about 60 bytes.
_CACHED_PACKETS = 1_000_000
# Formats with an index of key frames; other formats seek to an estimated byte.
_INDEXED = {"mov", "matroska", "avi"}
# Packets that begin earlier are read as fast without a seek.
_SEEK_FROM_S = 2.0
# Maximum distance in the file of a key frame and the audio of the same time.
_SEEK_EARLY_S = 1.0
# Packets within which a stream that begins without a key frame must give a frame.
_MAX_REFRESH = 600


@dataclass(frozen=True)
class TimedFile:
    """An open file with its timeline.

    Attributes:
        container: the open file.
        path: its name.
        scan: what is known about it.
        key: identifies the content of the file.
        kept: packets of each stream by index, if all are in memory.
    """

    container: InputContainer
    path: MediaFile
    scan: Scan
    key: object
    kept: Mapping[int, list[Packet[Stream]]] | None = field(default=None, repr=False)

    @property
    def timeline(self) -> Timeline:
        """The packets of the file on one rising clock."""
        return self.scan.timeline

    @property
    def has_audio(self) -> bool:
        """Whether the file has an audio stream."""
        return self.scan.audio is not None

    def video(self) -> tuple[VideoStream, Track]:
        """The video stream and its track.

        Raises:
            NoVideoError: there is none.
            EmptyMediaError: it has no frame.
            CorruptMediaError: it cannot be decoded.
        """
        stream = streams.video_stream(self.container, self.scan.video, self.path)
        track = self.timeline.video
        if track is None or not len(track.packets):
            raise EmptyMediaError(f"{self.path}: its video stream holds no frame; fetch the file again or leave it out")
        if not len(track.shown):
            raise EmptyMediaError(f"{self.path}: no frame is left to show; fetch the file again or leave it out")
        return stream, track

    def audio(self) -> tuple[AudioStream, Track | None]:
        """The audio stream and its track, which is None for a stream without packets.

        Raises:
            NoAudioError: there is none.
            CorruptMediaError: it cannot be decoded.
        """
        return streams.audio_stream(self.container, self.scan.audio, self.path), self.timeline.audio

    def packets(self, wanted: Mapping[int, NDArray[np.int64]]) -> dict[int, dict[int, Packet[Stream]]]:
        """Reads packets of one or more streams.

        Args:
            wanted: ascending numbers of packets by index of the stream.

        Returns:
            Packets by number, by index of the stream.

        Raises:
            CorruptMediaError: a packet is missing.
        """
        wanted = {index: numbers for index, numbers in wanted.items() if len(numbers)}
        if self.kept is not None:
            return {index: {n: self.kept[index][n] for n in numbers.tolist()} for index, numbers in wanted.items()}
        first = self._seek(wanted)
        found = self._collect(wanted, first)
        if found is None and first is not None:
            with open_media(self.path) as again:
                found = replace(self, container=again)._collect(wanted, None)
        if found is None:
            raise CorruptMediaError(f"{self.path}: it changed while it was read, or is damaged; fetch it again")
        return found

    def _seek(self, wanted: Mapping[int, NDArray[np.int64]]) -> set[int] | None:
        """Moves to a place before the wanted packets; returns the streams to find, or None where nothing was moved."""
        needed = [self._track(index).packets for index in wanted]
        is_indexed = bool(_INDEXED & {*self.container.format.name.split(",")})
        if not wanted or not is_indexed or self.timeline.parts > 1:
            return None
        if any(len(np.unique(packets.pts)) < len(packets) for packets in needed):  # edits repeat packets
            return None
        first_s = min(
            float(packets.pts_s[numbers[0]]) for packets, numbers in zip(needed, wanted.values(), strict=True)
        )
        if first_s <= _SEEK_FROM_S:
            return None
        stream = self.container.streams[next(iter(wanted))]
        return set(wanted) if seek(self.container, stream, first_s - _SEEK_EARLY_S) else None

    def _collect(
        self, wanted: Mapping[int, NDArray[np.int64]], sought: set[int] | None
    ) -> dict[int, dict[int, Packet[Stream]]] | None:
        """Reads on until all wanted packets are found; None if one is missing."""
        missing = {index: set(numbers.tolist()) for index, numbers in wanted.items()}
        found: dict[int, dict[int, Packet[Stream]]] = {index: {} for index in wanted}
        for index, number, packet in self.numbered(wanted, sought):
            if number is None:
                return None
            if number in missing[index]:
                missing[index].remove(number)
                found[index][number] = packet
                if not any(missing.values()):
                    return found
        return None if any(missing.values()) else found

    def numbered(
        self, indices: Iterable[int], sought: set[int] | None = None
    ) -> Iterator[tuple[int, int | None, Packet[Stream]]]:
        """Yields the packets of some streams with the index of the stream and the number in the track.

        Args:
            indices: the streams.
            sought: streams whose first packet is not number 0, since the file was moved; None if it was not.

        Yields:
            Index of the stream, number of the packet or None where it is not the expected one, and the packet.
        """
        if self.kept is not None:
            yield from self._numbered_kept(indices)
            return
        next_number = {} if sought else dict.fromkeys(indices, 0)
        for packet in demux(self.container, self.path):
            index = packet.stream.index
            if not packet.size or index not in indices:
                continue
            pts = self._track(index).packets.pts
            number = next_number.get(index)
            if number is None:
                same = np.flatnonzero(pts == packet.pts) if packet.pts is not None else np.empty(0)
                number = int(same[0]) if len(same) else len(pts)
            next_number[index] = number + 1
            is_same = number < len(pts) and packet.pts in (None, pts[number])
            yield index, number if is_same else None, packet

    def _numbered_kept(self, indices: Iterable[int]) -> Iterator[tuple[int, int, Packet[Stream]]]:
        assert self.kept is not None, "the packets are in memory"
        places = [
            (order, index, number)
            for index in indices
            for number, order in enumerate(self._track(index).packets.order.tolist())
        ]
        for _, index, number in sorted(places):
            yield index, number, self.kept[index][number]

    def _track(self, index: int) -> Track:
        """The track of a stream by index."""
        track = self.timeline.video if index == self.scan.video else self.timeline.audio
        assert track is not None, "only streams with packets are read"
        return track


def seek(container: InputContainer, stream: Stream, time_s: float) -> bool:
    """Seeks to a key frame at or before a time on the file's clock; returns False if the container cannot seek."""
    try:
        container.seek(int(to_ticks(time_s, stream)), stream=stream)
    except av.FFmpegError:
        return False
    return True


_cache: dict[object, Scan] = {}
_cache_lock = threading.Lock()


def _cache_key(path: MediaFile) -> object:
    chosen = env.stream_number("video"), env.stream_number("audio")
    if isinstance(path, MemoryFile):
        return (path.name, len(path.content), hash(path.content), chosen)
    with on_disk(path) as local:
        stat = local.stat()
    return (str(local.absolute()), stat.st_ino, stat.st_size, stat.st_mtime_ns, chosen)


def _remember(key: object, scan: Scan) -> None:
    with _cache_lock:
        _cache[key] = scan
        total = sum(_size(each) for each in _cache.values())
        while total > _CACHED_PACKETS and len(_cache) > 1:
            total -= _size(_cache.pop(next(iter(_cache))))


def _size(scan: Scan) -> int:
    tracks = (scan.timeline.video, scan.timeline.audio)
    return 1000 + sum(len(track.packets) for track in tracks if track is not None)


@contextmanager
def open_timed(path: MediaFile) -> Iterator[TimedFile]:
    """Opens a file for reading, with its timeline.

    Raises:
        MediaError: the errors of `open_media`, the file is longer than the limit, or it has no presentation times.
    """
    with ExitStack() as stack:
        container = stack.enter_context(open_media(path))
        key = _cache_key(path)
        with _cache_lock:
            scan = _cache.get(key)
        kept: dict[int, list[Packet[Stream]]] | None = None
        if scan is None:
            kept = {} if container.size <= _KEPT_BYTES else None
            if "mov" in container.format.name.split(","):
                check_edits(path)
            scan = read_scan(container, path, kept)
            scan = _begin_whole(TimedFile(container, path, scan, key, kept))
            if kept is None:
                container = stack.enter_context(open_media(path))
            _remember(key, scan)
        limits().check_duration(scan.timeline.end_s, path)
        yield TimedFile(container, path, scan, key, kept)


def _begin_whole(file: TimedFile) -> Scan:
    """Lets each part of a video that begins without a key frame begin at its first whole frame."""
    scan, track = file.scan, file.timeline.video
    if track is None or not len(track.shown):
        return scan
    starts = np.flatnonzero(np.append(True, np.diff(track.part) > 0))
    for start in starts[~track.packets.key[starts]].tolist():
        part = int(track.part[start])
        begin_s = _first_whole_s(file, track, part)
        if begin_s is None:
            continue
        shown = track.begin_part_at(part, begin_s)
        if len(shown.shown) < len(track.shown):
            track = shown
            note = f"the video begins at its first whole frame, at {begin_s:.2f} s"
            scan = replace(scan, timeline=replace(scan.timeline, video=track), notes=(*scan.notes, note))
    return scan


def _first_whole_s(file: TimedFile, track: Track, part: int) -> float | None:
    """Time in seconds of the first frame of a part that the decoder shows; None if there is none."""
    numbers = np.flatnonzero(track.part == part)[:_MAX_REFRESH]
    with open_media(file.path) as container:
        fresh = replace(file, container=container, kept=None)
        stream, _ = fresh.video()
        packets = fresh.packets({stream.index: numbers})[stream.index]
        for packet in [*packets.values(), None]:
            try:
                frames = stream.codec_context.decode(packet)
            except av.InvalidDataError:
                continue
            whole = [frame.pts for frame in frames if frame.pts is not None and not frame.is_corrupt]
            if whole:
                return float(to_seconds(np.int64(min(whole)), stream)) + float(track.shift_s[part])
    return None
