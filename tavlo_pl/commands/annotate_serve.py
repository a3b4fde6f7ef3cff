"""``tavlo annotate serve``: the page on which a person decides."""

import getpass
from importlib.util import find_spec
from pathlib import Path

from tavlo_pl.errors import ConfigError


def serve(
    project: str,
    annotator: str | None = None,
    port: int = 8301,
    blind: bool = False,
    share: float = 1.0,
    segmenter: str = "none",
) -> None:
    """Serves a page on 127.0.0.1 on which a person accepts, rejects and draws sounding sources.

    Every decision is saved at once: in the journal of its clip, then in PROJECT/avatar, in AVATAR's layout.

    Args:
        project: folder made by tavlo annotate propose.
        annotator: your name, stored with your decisions; by default that of the user account.
        port: port of the server; 0 for a free one.
        blind: annotate a second time, without seeing proposals and first decisions, for tavlo annotate agreement.
        share: share of the clips that a second annotator gets, the same ones for all; 0.1 for a tenth.
        segmenter: a SAM 2 model of transformers by name or folder, facebook/sam2.1-hiera-tiny for example, which
            makes masks of clicks and boxes on the page; or none.

    Raises:
        ConfigError: the extra ``app`` is not installed, or an option is invalid.
        DatasetNotFoundError: the folder is no project.
        AnnotationError: a file of the project cannot be read.
        CheckpointError: the segmenter cannot be read.
    """
    if find_spec("aiohttp") is None:
        raise ConfigError("the page needs aiohttp, which is not installed: pip install 'tavlo_pl[app]'")
    from tavlo_pl.annotate.serve import serve as run

    run(Path(project), port, annotator if annotator is not None else getpass.getuser(), blind, share, segmenter)
