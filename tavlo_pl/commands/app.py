"""``tavlo app``: a page on this machine alone, where one drops a video and sees what makes its sound."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.errors import ConfigError


def app(
    ckpt_path: str | None = None,
    port: int = 8300,
    maps_per_second: float | None = 4.0,
    aspect: Literal["squash", "keep"] = "squash",
    max_mib: int = 4096,
    allow_import: list[str] = [],  # noqa: B006
) -> None:
    """Serves a page on 127.0.0.1 where one drops a video, sees its sources and moves the threshold.

    Args:
        ckpt_path: what tavlo fit wrote; by default the ready checkpoint, which knows a toy world only.
        port: on this machine; 0 takes one that is free.
        maps_per_second: null for one map a segment, the model's own rate.
        aspect: squash the picture to a square, as in training, or keep its shape, with black bars.
        max_mib: size of the largest video that is taken.
        allow_import: packages of yours whose classes the checkpoint's configuration may name; naming one runs it.

    Raises:
        ConfigError: the extra is not installed, or an option cannot be.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError("the page needs aiohttp, which is not installed: pip install 'tavlo_pl[app]'")
    if max_mib < 1:
        raise ConfigError(f"--max_mib {max_mib} must be at least 1")
    from tavlo_pl.app.serve import serve  # needs torch, and --help does not

    serve(Path(ckpt_path) if ckpt_path else None, port, maps_per_second, aspect, max_mib * 2**20, allow_import)


def main(args: list[str]) -> int:
    """Runs ``tavlo app …`` and returns the exit code.

    Args:
        args: the words after ``tavlo app``.
    """
    settings: dict[str, Any] = {"prog": "tavlo app", "parser_class": ShortErrors}
    return to_exit_code("app", lambda: auto_cli(app, args=args, as_positional=False, **settings))
