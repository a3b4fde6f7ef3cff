"""``tavlo live``: shows the sound sources of a camera, a stream or a file while it plays."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.errors import ConfigError


def live(
    source: str,
    ckpt_path: str | None = None,
    audio: str | None = None,
    port: int = 8301,
    window: bool = False,
    allow_import: list[str] = [],  # noqa: B006  # a list, so that jsonargparse parses one; it is not changed
) -> None:
    """Shows a live input with its heatmaps on a page on 127.0.0.1, and how far it is behind.

    Args:
        source: camera:0, a device such as v4l2:/dev/video0 or avfoundation:0:0, an address such as rtsp://host/path or
            udp://127.0.0.1:5000, or a file, which is played in real time.
        ckpt_path: checkpoint written by tavlo fit. Default: the packaged one.
        audio: another input with the audio, such as alsa:default, which is the default for v4l2.
        port: port of the page; 0 for a free one.
        window: also open a window; needs a display and OpenCV with windows.
        allow_import: packages whose classes the configuration of the checkpoint may name. Naming a class imports its
            module, which runs it.

    Raises:
        ConfigError: the extra ``app`` is not installed, or an option is invalid.
        MediaError: the input cannot be opened.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError("the page needs aiohttp, which is not installed: pip install 'tavlo_pl[app]'")
    from tavlo_pl.app.live import watch  # it imports torch, which --help does not need
    from tavlo_pl.data.media.live_input import LiveInput

    chosen = LiveInput.of(source)
    sound = LiveInput.of(audio) if audio else chosen.microphone
    checkpoint = Path(ckpt_path) if ckpt_path else None
    watch(chosen, sound, checkpoint, port, window=window, allow_import=tuple(allow_import))


def main(args: list[str]) -> int:
    """Runs ``tavlo live INPUT …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo live``; the input may stand first without ``--source``.
    """
    if args and not args[0].startswith("-"):
        args = ["--source", *args]
    settings: dict[str, Any] = {"prog": "tavlo live", "parser_class": ShortErrors}
    return to_exit_code("live", lambda: auto_cli(live, args=args, as_positional=False, **settings))
