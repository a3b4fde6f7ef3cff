"""Small video files whose frames show their number and whose audio has clicks at known times.

A frame shows its number as eight vertical bars (black = 0, white = 1, the highest bit at the left) in its
upper half; its lower half is white during a click and black otherwise. Both survive H.264, scaling and
conversions of the colour space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICK = Fraction(1, 90_000)
NTSC = Fraction(30_000, 1001)
BITS = 8
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "libx264": ("yuv420p", {"preset": "ultrafast", "crf": "18"}),
    "mpeg4": ("yuv420p", {"qscale": "2"}),
    "libvpx": ("yuv420p", {"deadline": "realtime", "cpu-used": "8", "crf": "10"}),
    "libvpx-vp9": ("yuv420p", {"deadline": "realtime", "cpu-used": "8", "crf": "20"}),
    "mjpeg": ("yuvj420p", {}),
    "prores_ks": ("yuv422p10le", {}),
    "mpeg2video": ("yuv420p", {"qscale": "2"}),
    "dvvideo": ("yuv420p", {}),
}
"""Pixel format and options by encoder."""
AAC_FRAME = 1024


@dataclass(frozen=True)
class NumberedClip:
    """What was written: the time of frame n and of each click, in seconds as put into the file."""

    path: Path
    times_s: np.ndarray
    click_s: tuple[float, ...]


def draw_number(number: int, size: tuple[int, int] = (64, 96), flash: bool = False) -> np.ndarray:
    """A (height, width, 3) uint8 image that shows `number`, 0..255."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for bit in range(BITS):
        if number >> (BITS - 1 - bit) & 1:
            image[: height // 2, edges[bit] : edges[bit + 1]] = 255
    if flash:
        image[height // 2 :] = 255
    return image


def read_number(image: np.ndarray) -> int:
    """The number that `draw_number` drew into an image of any size."""
    height, width = image.shape[:2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bits = image[height // 4, centres].mean(-1) > 127
    return int(sum(int(bit) << (BITS - 1 - position) for position, bit in enumerate(bits)))


def has_flash(image: np.ndarray) -> bool:
    """Whether the lower half of the image is lit."""
    height, width = image.shape[:2]
    return bool(image[height * 3 // 4, width // 2].mean() > 127)


def clicks(seconds: float, rate_hz: int, click_s: Sequence[float], width_s: float = 0.002) -> np.ndarray:
    """(samples,) float32: silence with a raised-cosine bump of height 0.8 around each of the times."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = np.zeros(len(time_s))
    for click in click_s:
        near = np.abs(time_s - click) < width_s
        samples[near] += 0.4 + 0.4 * np.cos(np.pi * (time_s[near] - click) / width_s)
    return samples.astype(np.float32)


def write_numbered(
    path: Path,
    *,
    seconds: float = 2.0,
    first: int = 0,
    rate: Fraction | int = 25,
    times_s: Sequence[float] | None = None,
    size: tuple[int, int] = (64, 96),
    video: bool = True,
    video_start_s: float = 0.0,
    x264: str = "keyint=12:bframes=0",
    video_codec: str = "libx264",
    turn_deg: int = 0,
    pixel: Fraction | None = None,
    audio: bool = True,
    audio_start_s: float = 0.0,
    audio_codec: str = "aac",
    sample_rate_hz: int = 48_000,
    channel_gains: Sequence[float] = (1.0,),
    click_s: Sequence[float] = (0.5, 1.5),
    options: dict[str, str] | None = None,
) -> NumberedClip:
    """Write a numbered, clicking clip; the suffix of `path` chooses the container.

    Args:
        path: Destination, for example ``clip.mp4``, ``clip.mkv``, ``clip.ts``.
        seconds: Length of video and audio, before the offsets.
        first: Number that the first frame shows.
        rate: Frames per second of a clip of constant rate.
        times_s: Time of each frame instead of `rate`, for a variable rate; ascending, before the offset.
        size: Height and width in pixels, even.
        video: Whether the file has a video stream.
        video_start_s: Added to the time of each frame.
        x264: x264 parameters, among them ``bframes``, ``keyint`` and ``open-gop``.
        video_codec: Name of another FFmpeg encoder, which makes `x264` idle.
        turn_deg: Rotation in degrees, counterclockwise, that a player applies to the stored frames.
        pixel: Width by height of a pixel as stored, where it is no square.
        audio: Whether the file has an audio stream.
        audio_start_s: Added to the time of each sample; the clicks move with it.
        audio_codec: Name of an FFmpeg encoder that the container can hold.
        sample_rate_hz: Sample rate of the audio.
        channel_gains: One gain a channel (one, two or six).
        click_s: Times of the clicks, before `audio_start_s`.
        options: Options of the muxer.
    """
    times = np.arange(round(seconds * rate)) / float(rate) if times_s is None else np.asarray(times_s, float)
    actual_click_s = tuple(click + audio_start_s for click in click_s)
    with av.open(str(path), "w", options=options or {}) as container:
        if video:
            video_stream = container.add_stream(video_codec, rate=Fraction(rate), options=CODECS[video_codec][1])
            if video_codec == "libx264":
                video_stream.codec_context.options = {
                    **video_stream.codec_context.options,
                    "x264-params": x264 + ":threads=1",
                }
            video_stream.height, video_stream.width = size if turn_deg % 180 == 0 else size[::-1]
            video_stream.pix_fmt = CODECS[video_codec][0]
            if video_codec in ("libx264", "libvpx", "libvpx-vp9"):
                video_stream.codec_context.time_base = TICK
            if pixel:
                video_stream.codec_context.sample_aspect_ratio = pixel
            if turn_deg:
                video_stream.set_display_rotation(turn_deg)
        if audio:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(channel_gains)]
            audio_stream = container.add_stream(audio_codec, rate=sample_rate_hz, layout=layout)
            wave = clicks(seconds, sample_rate_hz, click_s)
            planes = np.stack([gain * wave for gain in channel_gains]).astype(np.float32)
            for start in range(0, planes.shape[1], AAC_FRAME):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(planes[:, start : start + AAC_FRAME]), format="fltp", layout=layout
                )
                block.sample_rate = sample_rate_hz
                block.time_base = Fraction(1, sample_rate_hz)
                block.pts = start + round(audio_start_s * sample_rate_hz)
                container.mux(audio_stream.encode(block))
            container.mux(audio_stream.encode(None))
        if video:
            for number, time_s in enumerate(times + video_start_s):
                until_s = time_s + np.diff(times, append=times[-1] + np.median(np.diff(times)))[number]
                flash = any(time_s <= click < until_s for click in actual_click_s)
                stored = np.rot90(draw_number(first + number, size, flash), -turn_deg // 90)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
                frame.pts, frame.time_base = round(time_s / TICK), TICK
                if video_stream.codec_context.time_base != TICK:
                    frame.pts, frame.time_base = number, 1 / Fraction(rate)
                container.mux(video_stream.encode(frame))
            container.mux(video_stream.encode(None))
    return NumberedClip(path, times + video_start_s, actual_click_s)


def copy_from(source: Path, destination: Path, since_s: float) -> None:
    """Cut a file's start off without decoding, as `ffmpeg -ss … -c copy` does; MP4 hides what is too much."""
    with av.open(str(source)) as whole, av.open(str(destination), "w") as part:
        copies = {stream.index: part.add_stream_from_template(stream) for stream in whole.streams}
        video = whole.streams.video[0]
        whole.seek(int(since_s / video.time_base), stream=video)
        for packet in whole.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                shift = round(since_s / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copies[packet.stream_index]
                part.mux(packet)
