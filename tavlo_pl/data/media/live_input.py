"""Names of cameras, microphones, network streams and files, as ``tavlo live`` takes them, and how FFmpeg opens them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from tavlo_pl.data.media.limits import FORMATS, limits
from tavlo_pl.errors import ConfigError, MediaError

DEVICES = ("v4l2", "avfoundation", "alsa", "pulse", "x11grab", "lavfi")
"""FFmpeg's names of inputs that are no files: ``v4l2:/dev/video0``. lavfi makes test images and sounds."""

PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,tls,tcp",
}
"""Scheme of an address -> protocols that FFmpeg may use for it. Lists of other addresses (HLS, DASH) are not read."""

STREAM_FORMATS = (*FORMATS, "rtsp", "mpjpeg", "mjpeg")
OPEN_TIMEOUT_S, READ_TIMEOUT_S = 15.0, 5.0
PROBE_S = 1.0
"""Time for which FFmpeg looks at a network stream before it begins."""


@dataclass(frozen=True)
class LiveInput:
    """What FFmpeg opens.

    Attributes:
        text: as the user wrote it, for messages.
        address: a path, a URL or the name of a device.
        format: FFmpeg's name of the device; None for files and URLs.
        is_paced: whether it is read in real time by this process: files, which have no pace of their own.
    """

    text: str
    address: str
    format: str | None
    is_paced: bool

    @classmethod
    def of(cls, text: str) -> LiveInput:
        """Parses ``camera:0``, ``v4l2:/dev/video0``, ``rtsp://…`` or the path of a file.

        Raises:
            ConfigError: an address of another kind.
            MediaError: no such file.
        """
        kind, _, rest = text.partition(":")
        if kind == "camera":
            if not rest.isdecimal():
                raise ConfigError(f"{text}: cameras have numbers, such as camera:0")
            if sys.platform == "darwin":
                return cls(text, f"{rest}:0", "avfoundation", False)
            return cls(text, f"/dev/video{rest}", "v4l2", False)
        if kind in DEVICES and rest:
            return cls(text, rest, kind, kind == "lavfi")
        if "://" in text:
            if kind not in PROTOCOLS:
                raise ConfigError(f"{text}: addresses may begin with {', '.join(PROTOCOLS)}; a file needs no prefix")
            return cls(text, text, None, False)
        if not Path(text).is_file():
            raise MediaError(
                f"{text}: no such file; for cameras write camera:0, for streams an address such as rtsp://…"
            )
        return cls(text, f"file:{text}", None, True)

    @classmethod
    def is_live(cls, text: str) -> bool:
        """Whether a text names a camera, a device or a stream, and no file."""
        kind = text.partition(":")[0]
        named = kind in ("camera", *DEVICES) or ("://" in text and kind in PROTOCOLS)
        return named and not os.path.exists(text)

    @property
    def microphone(self) -> LiveInput | None:
        """The audio input that belongs to a device without audio; None where one container has both."""
        return LiveInput.of("alsa:default") if self.format == "v4l2" else None

    def open(self) -> InputContainer:
        """Opens the input.

        Raises:
            MediaError: it cannot be opened, or exceeds the limits.
        """
        options = dict(limits().for_decoder)
        if self.format is None:
            protocols = "file" if self.is_paced else PROTOCOLS[self.text.partition("://")[0]]
            options |= {"format_whitelist": ",".join(STREAM_FORMATS), "protocol_whitelist": protocols}
            if not self.is_paced:
                options |= {"analyzeduration": str(int(PROBE_S * 1e6)), "fflags": "nobuffer", "rtsp_transport": "tcp"}
        try:
            container = av.open(
                self.address,
                "r",
                format=self.format,
                options=options,
                metadata_errors="ignore",
                timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
            )
            limits().check(container, self.text)
        except av.error.ExitError as error:
            raise MediaError(f"{self.text}: no answer within {OPEN_TIMEOUT_S:g} s; check the address") from error
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(
                f"{self.text}: cannot be opened ({reason}); check the name, whether another program uses it, and that "
                "this FFmpeg supports it"
            ) from error
        return container
