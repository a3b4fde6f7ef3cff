"""The server of the page in a thread of this process, with the localizer whose map is the brightness."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from tavlo_pl.app.server import ADDRESS, listen, make_app
from tavlo_pl.app.videos import Videos
from tests.helpers.predict import localizer


@contextmanager
def served(folder: Path, threshold: float | None = 0.0, most_bytes: int = 2**22) -> Iterator[tuple[str, Videos]]:
    """Runs the server; yields its address and its videos."""
    with listen(0) as listener:
        port = listener.getsockname()[1]
        videos = Videos(folder, localizer(threshold), maps_per_second=8.0)
        loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def start() -> web.AppRunner:
            runner = web.AppRunner(make_app(videos, port, most_bytes, "a note <b>"), shutdown_timeout=0.1)
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
        ready.wait()
        try:
            yield f"http://{ADDRESS}:{port}", videos
        finally:
            videos.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
