"""Starts the server of the page from a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from tavlo_pl.app.local import ADDRESS, listen
from tavlo_pl.app.server import make_app, working_folder
from tavlo_pl.app.videos import Videos
from tavlo_pl.predict.checkpoint import NO_THRESHOLD, load_localizer, packaged_checkpoint, packaged_checkpoint_note
from tavlo_pl.predict.checks import Aspect, check_options
from tavlo_pl.run import directory


def serve(
    checkpoint: Path | None,
    port: int,
    maps_per_second: float | None,
    aspect: Aspect,
    most_bytes: int,
    allow_import: Sequence[str],
) -> None:
    """Serves the page until Ctrl-C or SIGTERM, then deletes all uploaded files.

    Args:
        checkpoint: written by ``tavlo fit``; None for the packaged one.
        port: on 127.0.0.1; 0 for a free one.
        maps_per_second: None for the segment rate of the model.
        aspect: how frames are fitted to the model's square input.
        most_bytes: maximum size of a video.
        allow_import: see `load_localizer`.

    Raises:
        ConfigError: the port is in use, or an option is invalid.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    check_options(maps_per_second, aspect)
    listener = listen(port)
    with listener, working_folder() as folder:
        localizer = load_localizer(checkpoint or packaged_checkpoint(), allow_import=allow_import)
        note = NO_THRESHOLD if localizer.threshold is None else ""
        if checkpoint is None:
            note = packaged_checkpoint_note("tavlo app --ckpt_path")
        mark = directory.fingerprint(checkpoint or packaged_checkpoint())
        made_with = {"checkpoint": mark and mark["sha256"], **({"note": f"Note: {note}."} if note else {})}
        videos = Videos(folder, localizer, maps_per_second, aspect, made_with)
        port = listener.getsockname()[1]
        print(f"Open http://{ADDRESS}:{port} in a browser on this machine; Ctrl-C ends the server.", flush=True)
        try:
            web.run_app(
                make_app(videos, port, most_bytes, note and f"Note: {note}."),
                sock=listener,
                print=_ignore,
                access_log=None,
                shutdown_timeout=1.0,  # a browser that plays a video delays the end by a minute otherwise
            )
        finally:
            videos.close()
    print("ended; all uploaded files are deleted", flush=True)


def _ignore(text: str) -> None:
    """Prints nothing in place of the banner of `web.run_app`."""
    del text
