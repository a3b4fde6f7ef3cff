"""Writes videos: H.264 and AAC in MP4, deterministically and atomically."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from tavlo_pl.data.media.container import (
    audio_stream,
    demux,
    display_size,
    open_media,
    origin_s,
    pixel_aspect_ratio,
    quarter_turns,
    video_stream,
)
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError
from tavlo_pl.io.atomic import atomic_path

# Clips are written once and read every epoch; without loop filter and with short GOPs they decode fast.
_X264 = {
    "preset": "veryfast",
    "tune": "fastdecode",
    "g": "25",
    # With AVX-512, x264's look-ahead reads uninitialised memory: 40 encodings of the same frames gave 7 files.
    "x264-params": "cpu-independent=1",
}
# Perceptual noise substitution is off: it generates different noise at each decode.
_AAC = {"aac_coder": "fast", "aac_pns": "0", "flags": "+bitexact"}
_OVERLAY_CRF = 20
_AUDIO_BIT_RATE = 96_000
_AUDIO_RATE_HZ = 48_000


def write_clip(
    path: str | Path,
    frames: Iterable[np.ndarray],
    frame_rate: Fraction | int,
    waveform: np.ndarray | None,
    sample_rate_hz: int,
    crf: int = 20,
    threads: int = 1,
) -> None:
    """Writes a clip whose frame n is shown at n / frame_rate and whose audio begins at 0.

    The same input gives the same bytes with the same FFmpeg and ``threads``. The file is written atomically.

    Args:
        path: destination, an MP4 file; its folder is created.
        frames: (H, W, 3) uint8 RGB frames of one size; odd sizes are padded by one row or column.
        frame_rate: frames per second.
        waveform: (L,) float32 in [-1, 1], mono, or None for a video without audio.
        sample_rate_hz: sample rate of the waveform, one that AAC supports: 16, 22.05, 32, 44.1, 48 kHz and others.
        crf: constant rate factor of x264, 0 (lossless) to 51; at 20 no difference is visible.
        threads: encoder threads.

    Raises:
        ValueError: there are no frames.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError(f"{path}: there is no frame to write")
    with _mp4_file(Path(path)) as container:
        encoder = _FrameEncoder(
            container, first.shape[:2], Fraction(frame_rate), 1 / Fraction(frame_rate), crf, threads
        )
        if waveform is not None:
            # All audio is written first; the muxer buffers and interleaves it.
            audio = _add_audio_stream(container, sample_rate_hz, "mono")
            block = AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform, np.float32)[None], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = sample_rate_hz, 0
            container.mux(audio.encode(block))
            container.mux(audio.encode(None))
        encoder.write(first, 0)
        for number, frame in enumerate(remaining, start=1):
            encoder.write(frame, number)
        encoder.finish()


def map_frames(source: str | Path, destination: str | Path, draw: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Writes a copy of a video with every frame replaced, at the same times and with the same audio.

    AAC and MP3 audio is copied without re-encoding, other codecs are re-encoded as AAC. The file is written atomically.
    Its time 0 is time 0 of the source's clip clock.

    Args:
        source: a video file, with or without audio.
        destination: an MP4 file; its folder is created.
        draw: takes a frame (H, W, 3) uint8 RGB and its time in seconds on the clip's clock, and returns the frame to
            write, of the same shape and type. It is called in the order of time.

    Raises:
        CorruptMediaError: a frame cannot be decoded without errors.
        MediaError: the errors of `probe`.
    """
    source = Path(source)
    with open_media(source) as original, _mp4_file(Path(destination)) as output:
        video = video_stream(original, source)
        audio = audio_stream(original, source) if original.streams.audio else None
        assert video.time_base is not None, "a demuxed stream has a time base"
        origin = origin_s(original)
        first_tick = round(origin / video.time_base)
        rate = video.average_rate or video.guessed_rate or Fraction(25)
        size = display_size(source)
        encoder = _FrameEncoder(output, size, rate, video.time_base, _OVERLAY_CRF, threads=1)
        encoder.set_pixel_aspect_ratio(pixel_aspect_ratio(video, size))
        track = _AudioTrack(output, audio, origin) if audio is not None else None
        reformatter = VideoReformatter()
        is_empty = True
        for packet in demux(original, source, [stream for stream in (video, audio) if stream is not None]):
            # Not `stream_index`, which is 0 for all empty packets at the end.
            if track is not None and packet.stream.index == track.source.index:
                track.write(packet)
                continue
            for frame in video.decode(packet):
                if frame.is_corrupt or packet.is_corrupt or frame.pts is None:
                    raise CorruptMediaError(
                        f"{source}: damaged at {frame.time} s; fetch the file again or leave it out"
                    )
                rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                drawn = draw(np.rot90(rgb, quarter_turns(frame)), float(frame.pts * video.time_base) - origin)
                encoder.write(drawn, frame.pts - first_tick)
                is_empty = False
        if is_empty:
            raise EmptyMediaError(f"{source}: it has no frame to show; fetch the file again or leave it out")
        encoder.finish()


@contextmanager
def _mp4_file(path: Path) -> Iterator[OutputContainer]:
    """Opens an MP4 file for atomic writing: it exists under its name only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "fflags": "+bitexact",
        "movflags": "+faststart",
        "max_interleave_delta": "0",  # the muxer may buffer all audio until the frames are written
        "movie_timescale": "90000",  # late starts are rounded to 11 us instead of 1 ms
    }
    with atomic_path(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        yield container


class _FrameEncoder:
    """The video stream of an output file: encodes RGB frames as H.264 (BT.601, 4:2:0)."""

    def __init__(
        self,
        container: OutputContainer,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction,
        crf: int,
        threads: int,
    ) -> None:
        self._container = container
        self._reformatter = VideoReformatter()
        self._odd = (size[0] % 2, size[1] % 2)
        options = {**_X264, "crf": str(crf), "threads": str(threads), "flags": "+bitexact"}
        self._stream: VideoStream = container.add_stream("libx264", rate=rate, options=options)
        self._stream.height, self._stream.width = size[0] + self._odd[0], size[1] + self._odd[1]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = time_base

    def set_pixel_aspect_ratio(self, ratio: Fraction) -> None:
        """Sets the width divided by the height of a pixel; called before the first frame is written."""
        self._stream.codec_context.sample_aspect_ratio = ratio

    def write(self, image: np.ndarray, tick: int) -> None:
        """Encodes an (H, W, 3) uint8 frame shown at ``tick``, in units of the time base."""
        if any(self._odd):  # 4:2:0 requires even sizes
            image = np.pad(image, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(rgb, format="yuv420p", dst_colorspace=Colorspace.ITU601, threads=1)
        frame.pts, frame.time_base = tick, self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flushes the encoder."""
        self._container.mux(self._stream.encode(None))


def _add_audio_stream(container: OutputContainer, rate_hz: int, layout: str) -> AudioStream:
    stream: AudioStream = container.add_stream("aac", rate=rate_hz, layout=layout, options=_AAC)
    stream.bit_rate = _AUDIO_BIT_RATE
    return stream


class _AudioTrack:
    """The audio stream of an output file, copied or re-encoded from another file packet by packet."""

    def __init__(self, container: OutputContainer, source: AudioStream, origin_s: float) -> None:
        assert source.time_base is not None, "a demuxed stream has a time base"
        self.source = source
        self._container = container
        self._first_tick = round(origin_s / source.time_base)
        context = source.codec_context
        # AAC of a transport stream lacks the header that MP4 needs.
        name = context.codec.canonical_name
        self._copied = name == "mp3" or (name == "aac" and bool(context.extradata))
        if self._copied:
            self._stream = container.add_stream_from_template(source)
        else:
            self._stream = _add_audio_stream(
                container, _AUDIO_RATE_HZ, "mono" if context.layout.nb_channels == 1 else "stereo"
            )

    def write(self, packet: Packet[Stream]) -> None:
        """Copies or re-encodes one packet; the empty packet at the end flushes the encoder."""
        if self._copied:
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts -= self._first_tick
                packet.dts -= self._first_tick
                packet.stream = self._stream
                self._container.mux(packet)
            return
        for frame in self.source.decode(packet):
            frame.pts = None if frame.pts is None else frame.pts - self._first_tick
            self._container.mux(self._stream.encode(frame))
        if not packet.size:
            self._container.mux(self._stream.encode(None))
