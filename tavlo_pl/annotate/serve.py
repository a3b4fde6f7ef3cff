"""Starts the server of the page for a project."""

import secrets
from pathlib import Path

from aiohttp import web

from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.segmenters import make_segmenter
from tavlo_pl.annotate.server import make_app
from tavlo_pl.annotate.workspace import Workspace, check_name
from tavlo_pl.app.local import ADDRESS, listen
from tavlo_pl.errors import ConfigError


def serve(folder: Path, port: int, annotator: str, blind: bool, share: float, segmenter: str) -> None:
    """Serves the page until Ctrl-C or SIGTERM.

    Args:
        folder: the project.
        port: on 127.0.0.1; 0 for a free one.
        annotator: name of the person.
        blind: second pass, without proposals and first decisions.
        share: of the clips that a second pass draws, in (0, 1].
        segmenter: see `make_segmenter`.

    Raises:
        ConfigError: the port is in use, or an option is invalid.
        DatasetNotFoundError: the folder is no project.
        AnnotationError: a file of the project cannot be read.
        CheckpointError: the segmenter cannot be read.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"--share {share:g} must be above 0 and at most 1")
    name = check_name(annotator)
    workspace = Workspace(Project.open(folder), name if blind else None, share, make_segmenter(segmenter))
    with listen(port) as listener:
        port = listener.getsockname()[1]
        key = secrets.token_urlsafe(12)
        for problem in workspace.problems:
            print(f"warning: {problem}", flush=True)
        print(f"Open http://{ADDRESS}:{port}/#{key} in a browser on this machine; Ctrl-C ends the server.", flush=True)
        web.run_app(
            make_app(workspace, port, key, name),
            sock=listener,
            print=_ignore,
            access_log=None,
            shutdown_timeout=1.0,  # a browser that plays a video delays the end by a minute otherwise
        )


def _ignore(text: str) -> None:
    """Prints nothing in place of the banner of `web.run_app`."""
    del text
