"""The server of ``tavlo app`` in a thread of this process, with the localizer whose map is the brightness."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tavlo_pl.app.server import make_app
from tavlo_pl.app.videos import Videos
from tests.helpers.pages import running
from tests.helpers.predict import localizer


@contextmanager
def served(folder: Path, threshold: float | None = 0.0, most_bytes: int = 2**22) -> Iterator[tuple[str, Videos]]:
    """Runs the server; yields its address and its videos."""
    videos = Videos(folder, localizer(threshold), maps_per_second=8.0)
    with running(lambda port: make_app(videos, port, most_bytes, "a note <b>")) as address:
        try:
            yield address, videos
        finally:
            videos.close()
