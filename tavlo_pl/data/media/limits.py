"""Limits on media files: decoders allocate memory by the headers, which are untrusted."""

import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from av.container import InputContainer
from av.stream import Stream

from tavlo_pl import env
from tavlo_pl.errors import ConfigError, MediaError

FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "flv", "ogg", "asf"),
    *("mxf", "dv", "gif"),
    *("wav", "flac", "mp3", "aac", "aiff"),
)
"""FFmpeg's names of the accepted containers. Others, such as concat, hls, dash, image2 and sdp, open further files by
name and are rejected."""

HAS_RESETS = 0x200
"""FFmpeg's flag AVFMT_TS_DISCONT of a container whose clock may be reset within a file."""

MAX_SAMPLE_RATE_HZ = 768_000
"""Maximum sample rate of audio; the highest rate that recorders write."""


@dataclass(frozen=True)
class Limits:
    """Limits on what the headers of a media file state.

    Args:
        pixels: maximum height times width of a frame; the default is twice that of 8K.
        duration_s: maximum length in seconds; the default is one day.
        streams: maximum number of streams of all kinds.

    Raises:
        ConfigError: a limit is not positive.
    """

    pixels: int = 2**26
    duration_s: float = 86_400.0
    streams: int = 32

    def __post_init__(self) -> None:
        if not min(self.pixels, self.duration_s, self.streams) > 0:
            raise ConfigError(f"limits of media files must be positive, got {asdict(self)}.")

    @property
    def for_decoder(self) -> dict[str, str]:
        """FFmpeg's option that rejects larger frames; FFmpeg first rounds their sides up to multiples of 64."""
        return {"max_pixels": str(2 * self.pixels + 2**16)}

    def check(self, container: InputContainer, path: object) -> None:
        """Checks the headers of a file.

        Raises:
            MediaError: a header exceeds a limit.
        """
        if len(container.streams) > self.streams:
            raise _too_much(path, f"{len(container.streams)} streams", "streams", self.streams)
        if not container.format.flags & HAS_RESETS:  # there, FFmpeg subtracts the times of different clocks
            self.check_duration((container.duration or 0) / 1e6, path)  # FFmpeg states it in microseconds
        for stream in container.streams:
            self._check_stream(stream, path)

    def check_duration(self, duration_s: float, path: object) -> None:
        """Checks the length of a file.

        Raises:
            MediaError: the file is longer than the limit.
        """
        if duration_s > self.duration_s:
            raise _too_much(path, f"it lasts {duration_s:,.0f} s", "duration_s", self.duration_s)

    def _check_stream(self, stream: Stream, path: object) -> None:
        context: Any = stream.codec_context  # None where FFmpeg does not know the codec
        if context is None:
            return
        if context.type == "video" and context.width * context.height > self.pixels:
            raise _too_much(path, f"a frame of {context.width:,} x {context.height:,} pixels", "pixels", self.pixels)
        if context.type == "audio" and context.sample_rate > MAX_SAMPLE_RATE_HZ:
            raise MediaError(f"{path}: a sample rate of {context.sample_rate:,} Hz is invalid; leave the file out")


DEFAULT_LIMITS = Limits()


def set_limits(limits: Limits) -> None:
    """Sets the limits of this process and its child processes; the default ones keep those of the environment."""
    if limits != DEFAULT_LIMITS:
        os.environ[env.MEDIA_LIMITS] = json.dumps(asdict(limits))


def limits() -> Limits:
    """The limits of this process.

    Raises:
        ConfigError: ``TAVLO_MEDIA_LIMITS`` is not a JSON object of known limits.
    """
    return _parsed(os.environ.get(env.MEDIA_LIMITS, "{}"))


@lru_cache(maxsize=8)
def _parsed(text: str) -> Limits:
    try:
        return Limits(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{env.MEDIA_LIMITS} is {text!r} ({error}); write some of {json.dumps(asdict(DEFAULT_LIMITS))}"
        ) from error


def _too_much(path: object, stated: str, name: str, limit: float) -> MediaError:
    return MediaError(
        f"{path}: {stated}, more than the {limit:,.0f} that limits.{name} allows; leave the file out or raise the limit"
    )
