"""The server of the page: what each address answers, and to whom.

It is bound to 127.0.0.1. Pages of other sites, which a browser on this machine may show, are kept out too: by the name
that they reach this server under (``Host``), by where a request comes from (``Origin``), and by keys that cannot be
guessed. No word of a request becomes part of a path.
"""

import asyncio
import fcntl
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from tavlo_pl.app.videos import Video, Videos
from tavlo_pl.errors import ConfigError
from tavlo_pl.viz import page
from tavlo_pl.viz.colormap import INFERNO

ADDRESS = "127.0.0.1"
PREFIX = "tavlo-app-"
LOCK = ".lock"
BLOCK_BYTES = 2**20
SPARE_BYTES = 2**29
"""Room on the disk that an upload must leave: for a copy, a film, and everybody else."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PARTS = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript")}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listen(port: int) -> socket.socket:
    """A socket on this machine alone.

    Args:
        port: 0 takes one that is free.

    Raises:
        ConfigError: the port is taken or may not be used.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: a port is a number from 0 to 65535")
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((ADDRESS, port))
        door.listen()
    except OSError as error:
        door.close()
        raise ConfigError(
            f"port {port} cannot be used ({error.strerror}); give --port 0 for one that is free"
        ) from error
    return door


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for this server alone, gone when the block ends; those of servers that were killed go first."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_left(left)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name,
        (Path(name) / LOCK).open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _remove_if_left(folder: Path) -> None:
    """Removes the folder of a server that ended without doing so: nobody holds its lock."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # it is in use, or just beginning or ending
        return


def make_app(videos: Videos, port: int, most_bytes: int, note: str = "") -> web.Application:
    """The server's addresses.

    Args:
        videos: what it shows and takes.
        port: it is reached under; requests for another name are refused.
        most_bytes: of a video.
        note: shown at the top of the page.
    """
    server = _Server(videos, port, most_bytes, note)
    app = web.Application(middlewares=[server.guard])
    app.on_response_prepare.append(_add_headers)
    app.add_routes(
        [
            *(web.get(address, server.part) for address in PARTS),
            web.get("/page.css", server.style),
            web.get("/settings", server.settings),
            web.post("/videos", server.upload),
            web.get("/videos/{key}", server.state),
            web.delete("/videos/{key}", server.drop),
            web.get("/videos/{key}/view", server.view),
            web.get("/videos/{key}/maps", server.maps),
            web.get("/videos/{key}/sources.json", server.sources),
            web.get("/videos/{key}/heatmaps.npz", server.heatmaps),
            web.get("/videos/{key}/poster.jpg", server.poster),
            web.post("/videos/{key}/film", server.make_overlay_video),
            web.get("/videos/{key}/film.mp4", server.film),
        ]
    )
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


class _Server:
    def __init__(self, videos: Videos, port: int, most_bytes: int, note: str) -> None:
        self.videos = videos
        self.hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
        self.most_bytes = most_bytes
        self.note = note

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in who asks for this server by its own name, from its own page."""
        origin = request.headers.get("Origin")
        if request.host not in self.hosts or (origin is not None and origin != f"http://{request.host}"):
            return _refusal(403, "this server answers its own page only")
        return await handler(request)

    async def part(self, request: web.Request) -> web.Response:
        name, kind = PARTS[request.path]
        return web.Response(text=_text(name), content_type=kind, charset="utf-8")

    async def style(self, request: web.Request) -> web.Response:
        return web.Response(text=page.STYLE + _text("page.css"), content_type="text/css", charset="utf-8")

    async def settings(self, request: web.Request) -> web.Response:
        """What the page has to know."""
        known = {
            "note": self.note,
            "most_bytes": self.most_bytes,
            "threshold": self.videos.localizer.threshold,
            "colours": INFERNO.tolist(),
        }
        return web.json_response(known)

    async def upload(self, request: web.Request) -> web.Response:
        """Takes a video, the body of the request; its length is limited, whatever is said of it beforehand."""
        stated = request.content_length
        too_large = f"the video is larger than {self.most_bytes / 2**20:.0f} MiB; start tavlo app with --max_mib"
        if stated is not None and stated > self.most_bytes:
            return _refusal(413, too_large)
        if shutil.disk_usage(self.videos.folder).free < (stated or 0) + SPARE_BYTES:
            return _refusal(507, f"the disk of {self.videos.folder} is full; make room, or set TMPDIR to another disk")
        try:
            video = self.videos.add(request.query.get("name", ""))
        except ConfigError as error:
            return _refusal(429, str(error))
        arrived, size = False, 0
        try:
            with video.source.open("wb") as file:
                async for block in request.content.iter_chunked(BLOCK_BYTES):
                    size += len(block)
                    if size > self.most_bytes:
                        return _refusal(413, too_large)
                    if video.unwanted.is_set():
                        return _refusal(410, "the video was taken off the page")
                    file.write(block)
            arrived = True
            self.videos.start(video)
        finally:
            if not arrived and not video.unwanted.is_set():  # too large, or the browser went away
                self.videos.drop(video.key)
        return web.json_response(video.to_dict())

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(self._video(request).to_dict())

    async def drop(self, request: web.Request) -> web.Response:
        self.videos.drop(self._video(request).key)
        return web.json_response({})

    async def view(self, request: web.Request) -> web.StreamResponse:
        video = self._found(request)
        return web.FileResponse(video.view, headers={"Content-Type": video.media_type})

    async def maps(self, request: web.Request) -> web.StreamResponse:
        """Raw scores of all maps: float32, little-endian, in the order (T, h, w)."""
        return web.FileResponse(
            self._found(request).folder / "maps.f32", headers={"Content-Type": "application/octet-stream"}
        )

    async def sources(self, request: web.Request) -> web.Response:
        video, threshold = self._found(request), self._threshold(request)
        text = await asyncio.to_thread(self.videos.sources, video, threshold)
        return web.Response(text=text, content_type="application/json", headers=_save_as(video, ".sources.json"))

    async def heatmaps(self, request: web.Request) -> web.StreamResponse:
        video = self._found(request)
        return web.FileResponse(
            video.folder / "heatmaps.npz",
            headers={"Content-Type": "application/octet-stream", **_save_as(video, ".npz")},
        )

    async def poster(self, request: web.Request) -> web.Response:
        video, threshold = self._found(request), self._threshold(request)
        body = await asyncio.to_thread(self.videos.poster, video, threshold)
        return web.Response(body=body, content_type="image/jpeg", headers=_save_as(video, ".jpg"))

    async def make_overlay_video(self, request: web.Request) -> web.Response:
        video = self._found(request)
        if video.film is not None and not video.film.task.done():
            return _refusal(409, "the film is being drawn already")
        box, spectrogram = (request.query.get(name) == "true" for name in ("box", "spectrogram"))
        self.videos.start_overlay_video(video, self._threshold(request), box, spectrogram)
        return web.json_response(video.to_dict())

    async def film(self, request: web.Request) -> web.StreamResponse:
        video = self._found(request)
        path = video.folder / "film.mp4"
        if not path.is_file():
            raise _not_found()
        return web.FileResponse(path, headers={"Content-Type": "video/mp4", **_save_as(video, ".film.mp4")})

    def _video(self, request: web.Request) -> Video:
        video = self.videos.by_key.get(request.match_info["key"])
        if video is None:
            raise _not_found()
        return video

    def _found(self, request: web.Request) -> Video:
        """A video that is localized."""
        video = self._video(request)
        if video.found is None:
            raise _not_found()
        return video

    def _threshold(self, request: web.Request) -> float | None:
        """The threshold of the owner's choice; the checkpoint's without one."""
        word = request.query.get("threshold")
        if word is None:
            return self.videos.localizer.threshold
        try:
            threshold = float(word)
        except ValueError:
            threshold = math.nan
        if not math.isfinite(threshold):
            raise web.HTTPBadRequest(text="threshold must be a number")
        return threshold


def _text(name: str) -> str:
    return (files("tavlo_pl.app") / name).read_text(encoding="utf-8")


def _not_found() -> web.HTTPNotFound:
    return web.HTTPNotFound(text="no such video, or not yet")


def _refusal(status: int, reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=status)


def _save_as(video: Video, suffix: str) -> dict[str, str]:
    """The name under which a browser saves a file: the video's own, coded so that no letter of it means anything."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(Path(video.name).stem + suffix, safe='')}"}
