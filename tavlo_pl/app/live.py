"""Shows a live input with its heatmaps: as MJPEG on a local page, and in a window where OpenCV can open one."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from aiohttp import web

from tavlo_pl.app.local import ADDRESS, add_static, guarded_app, listen
from tavlo_pl.data.media.live import LiveBuffer, LiveReader
from tavlo_pl.data.media.live_input import LiveInput
from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.predict.live import LiveImage, LiveLocalizer
from tavlo_pl.viz.page import render

PACKAGE = "tavlo_pl.app"
STYLES = ("page.css",)
POLL_S = 0.01
BOUNDARY = "frame"


class Publisher:
    """The newest image, from the thread of the model to the connections; slow connections miss images.

    Attributes:
        number: of the image, counted from 1; 0 before there is one.
        jpeg: the image.
    """

    def __init__(self) -> None:
        self.number, self.jpeg = 0, b""
        self.has_ended = False

    def publish(self, image: LiveImage) -> None:
        """Replaces the image."""
        self.jpeg = image.jpeg
        self.number += 1


def make_live_app(publisher: Publisher, port: int, title: str) -> web.Application:
    """Makes the application: a page at ``/`` and the images at ``/stream.mjpg``.

    Args:
        publisher: the newest image.
        port: of the server.
        title: name of the input.
    """

    async def page(_: web.Request) -> web.Response:
        text = render(PACKAGE, "live.html.j2", title=title, styles=[f"/static/{name}" for name in STYLES])
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}"})
        await response.prepare(request)
        sent = 0
        while not publisher.has_ended or sent < publisher.number:
            if sent == publisher.number:
                await asyncio.sleep(POLL_S)
                continue
            sent, jpeg = publisher.number, publisher.jpeg
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                await response.write(head.encode() + jpeg + b"\r\n")
            except ConnectionError:  # the page was closed
                break
        return response

    app = guarded_app(port)
    add_static(app, PACKAGE, STYLES, ())
    app.add_routes([web.get("/", page), web.get("/stream.mjpg", stream)])
    return app


@contextmanager
def served(publisher: Publisher, port: int, title: str) -> Iterator[str]:
    """Runs the server in a thread; yields its address.

    Args:
        publisher: the newest image.
        port: 0 for a free one.
        title: name of the input.

    Raises:
        ConfigError: the port is in use.
    """
    with listen(port) as listener:
        port = listener.getsockname()[1]
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(make_live_app(publisher, port, title), access_log=None, shutdown_timeout=0.2)

        async def start() -> None:
            await runner.setup()
            await web.SockSite(runner, listener).start()

        loop.run_until_complete(start())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{ADDRESS}:{port}"
        finally:
            publisher.has_ended = True
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


class Window:
    """A window of OpenCV.

    Args:
        title: of the window.

    Raises:
        ConfigError: OpenCV is missing or was built without windows, or there is no display.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        try:
            self._cv2: Any = import_module("cv2")
            self._cv2.namedWindow(title)
        except Exception as error:  # cv2.error is no class that can be named without OpenCV
            raise ConfigError(
                "--window needs a display and OpenCV with windows (pip install opencv-python, not -headless); without "
                "it, the page shows the same"
            ) from error

    def show(self, image: LiveImage) -> bool:
        """Shows an image; returns whether the window is still open (q closes it)."""
        self._cv2.imshow(self._title, image.image[..., ::-1])
        key = self._cv2.waitKey(1)
        return bool(key & 0xFF != ord("q") and self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) > 0)


def watch(
    source: LiveInput,
    audio: LiveInput | None,
    checkpoint: Path | None,
    port: int,
    *,
    window: bool,
    allow_import: tuple[str, ...],
) -> None:
    """Localizes until the input ends, or Ctrl-C or SIGTERM ends it; prints how far the images were behind.

    Args:
        source: the input with the video, and the audio if there is no other.
        audio: the input with the audio, if it is another one.
        checkpoint: written by ``tavlo fit``; None for the packaged one.
        port: of the page.
        window: open a window too.
        allow_import: see `load_localizer`.

    Raises:
        MediaError: the input cannot be opened.
        RunFailedError: the input failed later.
        ConfigError: the port is in use, or there can be no window.
        CheckpointError: the checkpoint is missing or unreadable.
    """
    localizer = load_localizer(checkpoint or packaged_checkpoint(), allow_import=allow_import)
    spec = localizer.spec
    buffer = LiveBuffer(spec.duration_s, spec.segments, spec.image_size)
    kinds = ("video",) if audio else ("video", "audio")
    publisher, live = Publisher(), LiveLocalizer(localizer, buffer)
    with ExitStack() as stack, _interrupted_by_sigterm():
        shown = Window(source.text) if window else None
        readers = [LiveReader(source, kinds, buffer), *([LiveReader(audio, ("audio",), buffer)] if audio else [])]
        address = stack.enter_context(served(publisher, port, source.text))
        print(f"Open {address} in a browser on this machine; Ctrl-C ends it.", flush=True)
        for reader in readers:
            reader.start()
            stack.callback(reader.stop)
        how = "the input has ended"
        try:
            for image in live.images(lambda: readers[0].is_alive):
                publisher.publish(image)
                if shown is not None and not shown.show(image):
                    how = "the window was closed"
                    break
        except KeyboardInterrupt:
            how = "ended"
    print(f"{how}: {live.delays.summary(buffer.dropped)}", flush=True)
    failed = next((reader.failure for reader in readers if reader.failure is not None), None)
    if failed is not None:
        raise RunFailedError(f"the input failed: {failed}")


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
