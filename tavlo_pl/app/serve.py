"""From a checkpoint to a running page."""

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from tavlo_pl.app.server import ADDRESS, listen, make_app, working_folder
from tavlo_pl.app.videos import Videos
from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.checkpoint import NO_THRESHOLD, TOY_WORLD, load_localizer, ready_checkpoint
from tavlo_pl.predict.localizer import Aspect
from tavlo_pl.run import directory


def serve(
    checkpoint: Path | None,
    port: int,
    maps_per_second: float | None,
    aspect: Aspect,
    most_bytes: int,
    allow_import: Sequence[str],
) -> None:
    """Serves the page until Ctrl-C or SIGTERM, and takes all that was uploaded away then.

    Args:
        checkpoint: of ``tavlo fit``; None for the ready one.
        port: on 127.0.0.1; 0 for one that is free.
        maps_per_second: None for the model's own rate.
        aspect: how the model is shown the picture.
        most_bytes: of a video.
        allow_import: as `load_localizer`.

    Raises:
        ConfigError: the port is taken, or an option cannot be.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    if maps_per_second is not None and maps_per_second <= 0:
        raise ConfigError(f"--maps_per_second {maps_per_second} must be above 0, 4 for example")
    door = listen(port)
    with door, working_folder() as folder:
        localizer = load_localizer(checkpoint or ready_checkpoint(), allow_import=allow_import)
        note = NO_THRESHOLD if localizer.threshold is None else ""
        if checkpoint is None:
            note = TOY_WORLD.replace("give --ckpt_path", "start tavlo app with --ckpt_path")
        mark = directory.fingerprint(checkpoint or ready_checkpoint())
        made_with = {"checkpoint": mark and mark["sha256"], **({"note": f"Note: {note}."} if note else {})}
        videos = Videos(folder, localizer, maps_per_second, aspect, made_with)
        port = door.getsockname()[1]
        print(f"Open http://{ADDRESS}:{port} in a browser of this machine; Ctrl-C ends it.", flush=True)
        try:
            web.run_app(
                make_app(videos, port, most_bytes, note and f"Note: {note}."),
                sock=door,
                print=lambda line: None,
                access_log=None,
                shutdown_timeout=1.0,  # a browser that still plays must not hold it up for a minute
            )
        finally:
            videos.close()
    print("ended; all that was uploaded is removed", flush=True)
