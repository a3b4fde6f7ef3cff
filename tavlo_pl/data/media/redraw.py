"""Writes copies of videos with drawn frames, on the rising clock of the reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from tavlo_pl.data.media.audio import MAX_TIMESTAMP_ERROR_S, BlockDecoder
from tavlo_pl.data.media.container import MediaFile, as_media
from tavlo_pl.data.media.display import Colour, pixel_aspect_ratio, to_rgb
from tavlo_pl.data.media.timed_file import TimedFile, open_timed
from tavlo_pl.data.media.timeline import Track
from tavlo_pl.data.media.video import FrameDecoder, file_orientation, first_frame
from tavlo_pl.data.media.write import FrameEncoder, add_audio_stream, mp4_file
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError

_CRF = 20
_AUDIO_RATE_HZ = 48_000
_SILENCE_SAMPLES = 48_000
_MOST_WAITING = 4


def map_frames(
    source: str | MediaFile, destination: str | Path, draw: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    """Writes a copy of a video with every frame replaced, at the same times and with the same audio.

    AAC and MP3 audio is copied without re-encoding where its times rise without gaps of edits, other audio is encoded
    as AAC. The colour of the source is kept and stated. The file is written atomically. Its time 0 is time 0 of the
    source's clip clock.

    Args:
        source: a video file, with or without audio.
        destination: an MP4 file; its folder is created.
        draw: takes a frame (H, W, 3) uint8 RGB and its time in seconds on the clip's clock, and returns the frame to
            write, of the same shape and type. It is called in the order of time. All frames have the size of the first.

    Raises:
        CorruptMediaError: a frame cannot be decoded without errors.
        MediaError: the errors of `probe`.
    """
    source = as_media(source)
    with open_timed(source) as file, mp4_file(Path(destination)) as output, _Behind() as behind:
        video, track = file.video()
        time_base = video.time_base
        assert time_base is not None, "a demuxed stream has a time base"
        turned = file_orientation(file)
        size = turned.size(video.codec_context.height, video.codec_context.width)
        rate = video.average_rate or video.guessed_rate or Fraction(25)
        encoder = FrameEncoder(output, size, rate, time_base, _CRF, threads=1)
        encoder.set_pixel_aspect_ratio(pixel_aspect_ratio(video, turned))
        if (first := first_frame(file)) is not None:
            encoder.set_colour(Colour.of(first))
        audio = _AudioTrack(output, file) if file.timeline.audio is not None else None
        decoder, reformatter, last_tick = FrameDecoder(video, track, source), VideoReformatter(), -1

        def write(position: int, frame: VideoFrame) -> None:
            nonlocal last_tick
            time_s = float(track.shown_s[position])
            last_tick = max(last_tick + 1, round(time_s / time_base))
            behind.run(encoder.write, draw(to_rgb(frame, turned, size, reformatter), time_s), last_tick)

        indices = [video.index, *([audio.index] if audio is not None else [])]
        for index, number, packet in file.numbered(indices):
            if number is None:
                raise CorruptMediaError(f"{source}: it changed while it was read; run the command again")
            if audio is not None and index == audio.index:
                behind.run(audio.write, number, packet)
                continue
            for position, frame in decoder.decode(number, packet):
                write(position, frame)
        for position, frame in decoder.flush():
            write(position, frame)
        behind.wait()
        if audio is not None:
            audio.finish()
        if last_tick < 0:
            raise EmptyMediaError(f"{source}: it has no frame to show; fetch the file again or leave it out")
        encoder.finish()


class _Behind:
    """Runs calls one after the other in a thread, so that a frame is encoded while the next one is drawn."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(self, call: Callable[..., None], *arguments: object) -> None:
        """Adds a call and waits while more than `_MOST_WAITING` are unfinished; raises the error of an earlier one."""
        self._waiting.append(self._pool.submit(call, *arguments))
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Waits for all calls."""
        while self._waiting:
            self._waiting.popleft().result()


class _AudioTrack:
    """The audio stream of an output file, copied or re-encoded from another file packet by packet."""

    def __init__(self, container: OutputContainer, file: TimedFile) -> None:
        source, track = file.audio()
        assert track is not None and source.time_base is not None, "the stream has packets"
        self.index = source.index
        self._container = container
        self._first_tick = round(file.scan.start_s / source.time_base)
        self._encoder: _AudioEncoder | None = None
        if _can_be_copied(source, track):
            self._stream = container.add_stream_from_template(source)
        else:
            self._encoder = _AudioEncoder(container, source, track, file.path)

    def write(self, number: int, packet: Packet[Stream]) -> None:
        """Copies or re-encodes one packet."""
        if self._encoder is not None:
            self._encoder.write(number, packet)
        elif packet.pts is not None and packet.dts is not None:
            packet.pts -= self._first_tick
            packet.dts -= self._first_tick
            packet.stream = self._stream
            self._container.mux(packet)

    def finish(self) -> None:
        """Flushes the encoder."""
        if self._encoder is not None:
            self._encoder.finish()


def _can_be_copied(source: AudioStream, track: Track) -> bool:
    """Whether MP4 can hold the packets of a stream, at their times."""
    context, packets = source.codec_context, track.packets
    name = context.codec.canonical_name
    # AAC of a transport stream lacks the header that MP4 needs.
    if not (name == "mp3" or (name == "aac" and context.extradata)):
        return False
    is_edited = packets.discard[np.argmin(packets.discard) :].any()  # encoder padding at the start may be discarded
    return track.part[-1] == 0 and not is_edited and bool((np.diff(packets.pts) > 0).all())


class _AudioEncoder:
    """Encodes decoded audio as AAC without gaps: of overlapping blocks the earlier one is kept, gaps are silent."""

    def __init__(self, container: OutputContainer, source: AudioStream, track: Track, path: MediaFile) -> None:
        self._container = container
        self._decoder = BlockDecoder(source, track, path)
        self._layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"
        self._stream = add_audio_stream(container, _AUDIO_RATE_HZ, self._layout)
        self._resampler: AudioResampler | None = None
        self._form: tuple[int, str, str] | None = None
        self._end_s = 0.0  # of the blocks that were decoded
        self._next: int | None = None  # sample of the output that is written next
        self._ahead = 0  # samples to leave out, since they are written already

    def write(self, number: int, packet: Packet[Stream]) -> None:
        """Decodes and encodes one packet."""
        for time_s, frame in self._decoder.decode(number, packet):
            self._add(time_s, frame)

    def finish(self) -> None:
        """Flushes the decoder and the encoder."""
        for time_s, frame in self._decoder.flush():
            self._add(time_s, frame)
        self._drain()
        self._container.mux(self._stream.encode(None))

    def _add(self, time_s: float | None, frame: AudioFrame) -> None:
        form = frame.sample_rate, frame.layout.name, frame.format.name
        begin_s = self._end_s if time_s is None else time_s
        if form != self._form or abs(begin_s - self._end_s) > MAX_TIMESTAMP_ERROR_S:
            self._drain()
            self._resampler = AudioResampler(format="fltp", layout=self._layout, rate=_AUDIO_RATE_HZ)
            self._form, self._end_s = form, begin_s
            self._move_to(round(begin_s * _AUDIO_RATE_HZ))
        assert self._resampler is not None, "made for the first block"
        self._end_s += frame.samples / frame.sample_rate
        frame.pts = None  # the resampler counts the samples
        for block in self._resampler.resample(frame):
            self._encode(block.to_ndarray())

    def _move_to(self, sample: int) -> None:
        """Begins contiguous audio at a sample of the output."""
        if self._next is None:
            self._next = max(sample, 0)
        self._ahead = max(self._next - sample, 0)
        while self._next < sample:
            channels = 1 if self._layout == "mono" else 2
            self._encode(np.zeros((channels, min(sample - self._next, _SILENCE_SAMPLES)), np.float32))

    def _drain(self) -> None:
        if self._resampler is not None:
            for block in self._resampler.resample(None):
                self._encode(block.to_ndarray())

    def _encode(self, samples: np.ndarray) -> None:
        left_out = min(self._ahead, samples.shape[1])
        self._ahead -= left_out
        samples = np.ascontiguousarray(samples[:, left_out:])
        if samples.shape[1] and self._next is not None:
            block = AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
            block.sample_rate, block.time_base, block.pts = _AUDIO_RATE_HZ, Fraction(1, _AUDIO_RATE_HZ), self._next
            self._next += samples.shape[1]
            self._container.mux(self._stream.encode(block))
