"""Writes videos: H.264 and AAC in MP4, deterministically and atomically."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from tavlo_pl.data.media.display import RGB, Colour, guessed_matrix, matrix_of
from tavlo_pl.io.atomic import atomic_path

Preset = Literal["veryfast", "ultrafast"]

# Clips are written once and read every epoch; without loop filter and with short GOPs they decode fast.
_X264 = {
    "tune": "fastdecode",
    "g": "25",
    # With AVX-512, x264's look-ahead reads uninitialised memory: 40 encodings of the same frames gave 7 files.
    "x264-params": "cpu-independent=1",
}
# Perceptual noise substitution is off: it generates different noise at each decode.
_AAC = {"aac_coder": "fast", "aac_pns": "0", "flags": "+bitexact"}
_AUDIO_BIT_RATE = 96_000


def write_clip(
    path: str | Path,
    frames: Iterable[np.ndarray],
    frame_rate: Fraction | int,
    waveform: np.ndarray | None,
    sample_rate_hz: int,
    crf: int = 20,
    threads: int = 1,
    preset: Preset = "veryfast",
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
        preset: of x264; ``ultrafast`` takes 0.4 times as long as ``veryfast``, for files 1.7 times as large (clips of
            640×360 pixels at the same ``crf``).

    Raises:
        ValueError: there are no frames.
    """
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError(f"{path}: there is no frame to write")
    with mp4_file(Path(path)) as container:
        rate = Fraction(frame_rate)
        encoder = FrameEncoder(container, first.shape[:2], rate, 1 / rate, crf, threads, preset)
        if waveform is not None:
            # All audio is written first; the muxer buffers and interleaves it.
            audio = add_audio_stream(container, sample_rate_hz, "mono")
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


@contextmanager
def mp4_file(path: Path) -> Iterator[OutputContainer]:
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


class FrameEncoder:
    """The video stream of an output file: encodes RGB frames as H.264, 4:2:0.

    The matrix is BT.601, and BT.709 for HD, which browsers take for files that state none.
    """

    def __init__(
        self,
        container: OutputContainer,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction,
        crf: int,
        threads: int,
        preset: Preset = "veryfast",
    ) -> None:
        self._container = container
        self._reformatter = VideoReformatter()
        self._odd = (size[0] % 2, size[1] % 2)
        options = {**_X264, "preset": preset, "crf": str(crf), "threads": str(threads), "flags": "+bitexact"}
        self._stream: VideoStream = container.add_stream("libx264", rate=rate, options=options)
        self._stream.height, self._stream.width = size[0] + self._odd[0], size[1] + self._odd[1]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = time_base
        self._matrix, self._range = guessed_matrix(*size), ColorRange.UNSPECIFIED

    def set_pixel_aspect_ratio(self, ratio: Fraction) -> None:
        """Sets the width divided by the height of a pixel; called before the first frame is written."""
        self._stream.codec_context.sample_aspect_ratio = ratio

    def set_colour(self, colour: Colour) -> None:
        """Encodes with the colour of a source and states it in the file; called before the first frame is written."""
        context = self._stream.codec_context
        self._matrix = matrix_of(colour, context.height, context.width)
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        if colour.matrix != RGB:
            context.colorspace, context.color_range = colour.matrix, colour.range
            self._range = ColorRange.JPEG if colour.range == ColorRange.JPEG else ColorRange.UNSPECIFIED

    def write(self, image: np.ndarray, tick: int) -> None:
        """Encodes an (H, W, 3) uint8 frame shown at ``tick``, in units of the time base."""
        if any(self._odd):  # 4:2:0 requires even sizes
            image = np.pad(image, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=self._matrix, dst_color_range=self._range, threads=1
        )
        frame.pts, frame.time_base = tick, self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flushes the encoder."""
        self._container.mux(self._stream.encode(None))


def add_audio_stream(container: OutputContainer, rate_hz: int, layout: str) -> AudioStream:
    """Adds an AAC stream to an output file."""
    stream: AudioStream = container.add_stream("aac", rate=rate_hz, layout=layout, options=_AAC)
    stream.bit_rate = _AUDIO_BIT_RATE
    return stream
