"""``tavlo app``: a local page that localizes the sound sources of an uploaded video."""

from importlib.util import find_spec
from typing import Any, Literal

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.errors import ConfigError
from tavlo_pl.io import hub


def app(
    ckpt_path: str | None = None,
    port: int = 8300,
    maps_per_second: float | None = 4.0,
    aspect: Literal["squash", "keep"] = "squash",
    max_mib: int = 4096,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    allow_import: list[str] = [],  # noqa: B006  # a list, so that jsonargparse parses one; it is not changed
) -> None:
    """Serves a page on 127.0.0.1 that localizes the sound sources of uploaded videos.

    Args:
        ckpt_path: checkpoint written by tavlo fit. Default: the packaged one.
        port: port of the server; 0 for a free one.
        maps_per_second: heatmaps per second; null for one per segment, the rate of the model.
        aspect: squash resizes frames to a square, as in training; keep pads them with black bars.
        max_mib: maximum size of a video in MiB.
        video_stream: number of the video stream to read in files with several, counted from 0; null for the one that
            players show.
        audio_stream: number of the audio stream, likewise.
        allow_import: packages whose classes the configuration of the checkpoint may name. Naming a class imports its
            module, which runs it.

    Raises:
        ConfigError: the extra ``app`` is not installed, or an option is invalid.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError("the page needs aiohttp, which is not installed: pip install 'tavlo_pl[app]'")
    if max_mib < 1:
        raise ConfigError(f"--max_mib {max_mib} must be at least 1")
    from tavlo_pl.app.serve import serve  # it imports torch, which --help does not need
    from tavlo_pl.data.media import select_streams

    checkpoint = hub.local_path(ckpt_path) if ckpt_path else None
    select_streams(video_stream, audio_stream)
    serve(checkpoint, port, maps_per_second, aspect, max_mib * 2**20, allow_import)


def main(args: list[str]) -> int:
    """Runs ``tavlo app …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo app``.
    """
    settings: dict[str, Any] = {"prog": "tavlo app", "parser_class": ShortErrors}
    return to_exit_code("app", lambda: auto_cli(app, args=args, as_positional=False, **settings))
