"""How large a media file may be: headers of untrusted files can state any size."""

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
    *("wav", "flac", "mp3", "aac", "aiff"),
)
"""FFmpeg's names of the containers that are opened. It supports many more, some of which open further files by name
(concat, hls, dash, image2, sdp), whatever the name of the file that lists them."""

HIGHEST_SAMPLE_RATE_HZ = 768_000
"""Of sound; the highest that any recorder writes."""


@dataclass(frozen=True)
class Limits:
    """What a media file may state of itself.

    Args:
        pixels: Height times width of the frame; twice that of 8K.
        duration_s: Length in seconds; a day.
        streams: Number of streams of video, audio and all else.

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
        """The option by which FFmpeg refuses larger frames; it rounds their sides up to multiples of 64 first."""
        return {"max_pixels": str(2 * self.pixels + 2**16)}

    def check(self, container: InputContainer, path: object) -> None:
        """Refuses a file by its headers.

        Raises:
            MediaError: it states more.
        """
        if len(container.streams) > self.streams:
            raise _too_much(path, f"{len(container.streams)} streams", "streams", self.streams)
        self.check_duration((container.duration or 0) / 1e6, path)  # FFmpeg states it in microseconds
        for stream in container.streams:
            self._check_stream(stream, path)

    def check_duration(self, duration_s: float, path: object) -> None:
        """Refuses a file by its length.

        Raises:
            MediaError: it is longer.
        """
        if duration_s > self.duration_s:
            raise _too_much(path, f"it lasts {duration_s:,.0f} s", "duration_s", self.duration_s)

    def _check_stream(self, stream: Stream, path: object) -> None:
        context: Any = stream.codec_context  # None where FFmpeg does not know the codec
        if context is None:
            return
        if context.type == "video" and context.width * context.height > self.pixels:
            raise _too_much(path, f"a frame of {context.width:,} x {context.height:,} pixels", "pixels", self.pixels)
        if context.type == "audio" and context.sample_rate > HIGHEST_SAMPLE_RATE_HZ:
            raise MediaError(f"{path}: no sound has {context.sample_rate:,} samples a second; leave the file out")


USUAL = Limits()


def set_limits(limits: Limits) -> None:
    """Makes them those of this process and of all that it starts; the usual ones leave those of the environment."""
    if limits != USUAL:
        os.environ[env.MEDIA_LIMITS] = json.dumps(asdict(limits))


def limits() -> Limits:
    """Those that hold.

    Raises:
        ConfigError: the environment names others than there are.
    """
    return _parsed(os.environ.get(env.MEDIA_LIMITS, "{}"))


@lru_cache(maxsize=8)
def _parsed(text: str) -> Limits:
    try:
        return Limits(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{env.MEDIA_LIMITS} is {text!r} ({error}); write some of {json.dumps(asdict(USUAL))}"
        ) from error


def _too_much(path: object, stated: str, name: str, limit: float) -> MediaError:
    return MediaError(
        f"{path}: {stated}, more than the {limit:,.0f} that limits.{name} allows; leave the file out, or allow more"
    )
