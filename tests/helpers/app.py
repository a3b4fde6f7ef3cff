"""The servers of local pages in a thread of this process."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from tavlo_pl.app.local import ADDRESS, listen
from tavlo_pl.app.server import make_app
from tavlo_pl.app.videos import Videos
from tests.helpers.predict import localizer


@contextmanager
def served(folder: Path, threshold: float | None = 0.0, most_bytes: int = 2**22) -> Iterator[tuple[str, Videos]]:
    """Runs the server of ``tavlo app`` with the localizer whose map is the brightness; yields address and videos."""
    videos = Videos(folder, localizer(threshold), maps_per_second=8.0)
    with running(lambda port: make_app(videos, port, most_bytes, "a note <b>")) as address:
        try:
            yield address, videos
        finally:
            videos.close()


@contextmanager
def running(make: Callable[[int], web.Application]) -> Iterator[str]:
    """Runs an application in a thread; yields its address.

    Args:
        make: makes it for a port.
    """
    with listen(0) as listener:
        port = listener.getsockname()[1]
        loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def start() -> web.AppRunner:
            runner = web.AppRunner(make(port), shutdown_timeout=0.1)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            return runner

        def run() -> None:
            runner = loop.run_until_complete(start())
            ready.set()
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())

        thread = threading.Thread(target=run)
        thread.start()
        while not ready.wait(0.1):
            assert thread.is_alive(), "the server did not start"
        try:
            yield f"http://{ADDRESS}:{port}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
