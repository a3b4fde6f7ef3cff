"""Writes videos: H.264 and AAC in MP4, the same bytes for the same input, never half a file at its name."""

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
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from tavlo_pl.data.media.container import (
    audio_stream,
    demux,
    open_media,
    origin_s,
    pixel_shape,
    quarter_turns,
    shown_size,
    video_stream,
)
from tavlo_pl.errors import CorruptMediaError, EmptyMediaError
from tavlo_pl.io.atomic import atomic_path

# Every clip is written once and read every epoch, so it is made easy to decode: no loop filter, short GOPs.
_X264 = {
    "preset": "veryfast",
    "tune": "fastdecode",
    "g": "25",
    # With AVX-512, x264's look-ahead reads uninitialised memory: 40 videos of the same frames had 7 encodings.
    "x264-params": "cpu-independent=1",
}
# Noise is coded, not made up anew at each decode, so that a span always sounds the same.
_AAC = {"aac_coder": "fast", "aac_pns": "0", "flags": "+bitexact"}
_CRF = 20
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
    """Write a clip whose frame n is shown at n / frame_rate and whose sound begins at 0.

    The same input gives the same bytes (with the same FFmpeg and `threads`). The file is written beside its
    name and renamed when it is whole.

    Args:
        path: Destination, an MP4 file; its folder is made.
        frames: (H, W, 3) uint8 RGB frames of one size; odd sizes are padded by one row or column.
        frame_rate: Frames per second.
        waveform: (L,) float32 in [-1, 1], mono, or None for a video without audio.
        sample_rate_hz: Rate of the waveform, one that AAC supports: 16, 22.05, 32, 44.1, 48 kHz and others.
        crf: x264's quality, 0 (lossless) to 51; 20 looks like the original.
        threads: Encoder threads.

    Raises:
        ValueError: There is no frame.
    """
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise ValueError(f"{path}: there is no frame to write")
    with _whole_file(Path(path)) as container:
        encoder = _FrameEncoder(
            container, first.shape[:2], Fraction(frame_rate), 1 / Fraction(frame_rate), crf, threads
        )
        if waveform is not None:
            # All sound goes first: the muxer holds it back and lays it between the frames.
            sound = _add_audio(container, sample_rate_hz, "mono")
            block = AudioFrame.from_ndarray(
                np.ascontiguousarray(waveform, np.float32)[None], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = sample_rate_hz, 0
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
        encoder.write(first, 0)
        for number, image in enumerate(images, start=1):
            encoder.write(image, number)
        encoder.finish()


def map_frames(source: str | Path, destination: str | Path, draw: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Writes a video with every frame of another one drawn over, at the same times and with the same audio.

    AAC and MP3 sound is copied as it is, anything else is encoded anew as AAC. The video is written beside its
    name and renamed when it is whole. Its time 0 is time 0 of the source's clip clock.

    Args:
        source: A video file, with or without sound.
        destination: An MP4 file; its folder is made.
        draw: Takes a frame (H, W, 3) uint8 RGB and its time in seconds on the clip's clock, and returns the
            frame to write, of the same shape and type. Called in the order of time.

    Raises:
        CorruptMediaError: A frame cannot be decoded faithfully.
        MediaError: As `media.probe`.
    """
    source = Path(source)
    with open_media(source) as original, _whole_file(Path(destination)) as output:
        video = video_stream(original, source)
        audio = audio_stream(original, source) if original.streams.audio else None
        assert video.time_base is not None, "a demuxed stream has a time base"
        origin = origin_s(original)
        first_tick = round(origin / video.time_base)
        rate = video.average_rate or video.guessed_rate or Fraction(25)
        size = shown_size(source)
        encoder = _FrameEncoder(output, size, rate, video.time_base, _CRF, threads=1)
        encoder.set_pixel_shape(pixel_shape(video, size))
        sound = _AudioTrack(output, audio, origin) if audio is not None else None
        reformatter = VideoReformatter()
        drawn = False
        for packet in demux(original, source, [stream for stream in (video, audio) if stream is not None]):
            # Not `stream_index`: the empty packets at the end, which flush, all say 0 there.
            if sound is not None and packet.stream.index == sound.source.index:
                sound.write(packet)
                continue
            for frame in video.decode(packet):
                if frame.is_corrupt or packet.is_corrupt or frame.pts is None:
                    raise CorruptMediaError(
                        f"{source}: damaged at {frame.time} s; fetch the file again or leave it out"
                    )
                rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                image = draw(np.rot90(rgb, quarter_turns(frame)), float(frame.pts * video.time_base) - origin)
                encoder.write(image, frame.pts - first_tick)
                drawn = True
        if not drawn:
            raise EmptyMediaError(f"{source}: it has no frame to show; fetch the file again or leave it out")
        encoder.finish()


@contextmanager
def _whole_file(path: Path) -> Iterator[OutputContainer]:
    """An MP4 that appears under its name when it is complete, and not at all when something fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "fflags": "+bitexact",
        "movflags": "+faststart",
        "max_interleave_delta": "0",  # the muxer may hold back all the sound until the frames come
        "movie_timescale": "90000",  # late starts are kept to 11 us instead of 1 ms
    }
    with atomic_path(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        yield container


class _FrameEncoder:
    """The video stream of a video: RGB frames in, H.264 (BT.601, 4:2:0) out."""

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

    def set_pixel_shape(self, pixel: Fraction) -> None:
        """Have players show pixels of this width by height; called before the first frame."""
        self._stream.codec_context.sample_aspect_ratio = pixel

    def write(self, image: np.ndarray, tick: int) -> None:
        """Encode an (H, W, 3) uint8 frame shown at `tick` of the time base."""
        if any(self._odd):  # 4:2:0 supports even sizes only
            image = np.pad(image, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(rgb, format="yuv420p", dst_colorspace=Colorspace.ITU601, threads=1)
        frame.pts, frame.time_base = tick, self._stream.codec_context.time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encode what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def _add_audio(container: OutputContainer, rate_hz: int, layout: str) -> AudioStream:
    stream: AudioStream = container.add_stream("aac", rate=rate_hz, layout=layout, options=_AAC)
    stream.bit_rate = _AUDIO_BIT_RATE
    return stream


class _AudioTrack:
    """The audio of a video to which another video's audio is copied, packet by packet."""

    def __init__(self, container: OutputContainer, source: AudioStream, origin_s: float) -> None:
        assert source.time_base is not None, "a demuxed stream has a time base"
        self.source = source
        self._container = container
        self._first_tick = round(origin_s / source.time_base)
        context = source.codec_context
        # AAC out of a transport stream has no header of its own, which MP4 needs.
        name = context.codec.canonical_name
        self._copied = name == "mp3" or (name == "aac" and bool(context.extradata))
        if self._copied:
            self._stream = container.add_stream_from_template(source)
        else:
            self._stream = _add_audio(
                container, _AUDIO_RATE_HZ, "mono" if context.layout.nb_channels == 1 else "stereo"
            )

    def write(self, packet: Packet) -> None:
        """Carry one packet over; the empty one at the end flushes."""
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
