"""Servers of local pages in a thread of this process, and requests to them."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from tavlo_pl.app.local import ADDRESS, listen


class Answer(NamedTuple):
    """A response of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """Sends one request; `path` is sent unchanged."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


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
