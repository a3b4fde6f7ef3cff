"""The server of the page: its routes and its access control.

The address of a video contains a random key, and no part of a request becomes part of a path; `local` has the guards
that all pages share.
"""

import asyncio
import fcntl
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from aiohttp import ClientPayloadError, web

from tavlo_pl.app.local import Handler, add_static, guarded_app, refusal
from tavlo_pl.app.videos import OVERLAY, Video, Videos
from tavlo_pl.app.worker import RemovedError
from tavlo_pl.data.media.recognise import VIDEO_SUFFIXES
from tavlo_pl.errors import ConfigError
from tavlo_pl.viz.colormap import INFERNO
from tavlo_pl.viz.page import render

PACKAGE = "tavlo_pl.app"
PREFIX = "tavlo-app-"
LOCK = ".lock"
STALLED_S = 30.0
"""Time without a byte after which an upload ends, and after which its rate is checked."""

LEAST_BYTES_PER_S = 10_000
"""Mean rate of an upload below which it ends; the videos that wait for their upload have few places."""

SPARE_BYTES = 2**29
"""Free disk space that an upload must leave for a playable copy, an overlay video and other programs."""

STYLES = ("page.css", "app.css")
SCRIPTS = ("app.js", "drawing.js", "overlay.js", "server.js", "state.js")


@contextmanager
def working_folder() -> Iterator[Path]:
    """A private folder that is deleted when the block ends; folders of killed servers are deleted first."""
    try:
        place = Path(tempfile.gettempdir())
        for folder in place.glob(f"{PREFIX}*"):
            _remove_if_abandoned(folder)
        made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"no temporary folder can be made ({error}); set TMPDIR to one that is writable") from error
    with made as name, (Path(name) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _remove_if_abandoned(folder: Path) -> None:
    """Deletes the folder of a server that was killed, which is one whose lock is free."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # in use, or being created or deleted
        return


def make_app(videos: Videos, port: int, most_bytes: int, note: str = "") -> web.Application:
    """Makes the application with all routes.

    Args:
        videos: the uploaded videos.
        port: of the server; requests with another ``Host`` header are refused.
        most_bytes: maximum size of a video.
        note: text at the top of the page.
    """
    server = _Server(videos, most_bytes, note)
    app = guarded_app(port)
    app.middlewares.append(_removed)
    add_static(app, PACKAGE, STYLES, SCRIPTS)
    app.add_routes(
        [
            web.get("/", server.page),
            web.get("/settings", server.settings),
            web.post("/videos", server.upload),
            web.get("/videos/{key}", server.state),
            web.delete("/videos/{key}", server.remove),
            web.get("/videos/{key}/view", server.view),
            web.get("/videos/{key}/maps", server.maps),
            web.get("/videos/{key}/sources.json", server.sources),
            web.get("/videos/{key}/heatmaps.npz", server.heatmaps),
            web.get("/videos/{key}/poster.jpg", server.poster),
            web.post("/videos/{key}/overlay", server.make_overlay),
            web.get("/videos/{key}/overlay.mp4", server.overlay),
        ]
    )
    return app


@web.middleware
async def _removed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A video that is removed while it is read is not found."""
    try:
        return await handler(request)
    except (RemovedError, FileNotFoundError):
        raise _not_found() from None


class _Server:
    def __init__(self, videos: Videos, most_bytes: int, note: str) -> None:
        self.videos = videos
        self.most_bytes = most_bytes
        self.note = note

    async def page(self, _: web.Request) -> web.Response:
        text = render(
            PACKAGE,
            "app.html.j2",
            title="Localize sound sources",
            note=self.note,
            styles=[f"/static/{name}" for name in STYLES],
            script=f"/static/{SCRIPTS[0]}",
            accept=",".join(["video/*", *sorted(VIDEO_SUFFIXES)]),
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def settings(self, _: web.Request) -> web.Response:
        """Values that the scripts of the page need."""
        settings = {
            "most_bytes": self.most_bytes,
            "threshold": self.videos.localizer.threshold,
            "colormap": INFERNO.tolist(),
        }
        return web.json_response(settings)

    async def upload(self, request: web.Request) -> web.Response:
        """Stores a video, the body of the request; its size is limited whatever ``Content-Length`` states."""
        stated_bytes = request.content_length
        if stated_bytes is not None and stated_bytes > self.most_bytes:
            return refusal(413, self._too_large)
        wanted = min(self.most_bytes, stated_bytes if stated_bytes is not None else self.most_bytes)
        if shutil.disk_usage(self.videos.folder).free < sum(self.videos.reserved.values()) + wanted + SPARE_BYTES:
            return refusal(507, f"the disk of {self.videos.folder} is full; make room, or set TMPDIR to another disk")
        try:
            video = self.videos.add(request.query.get("name", ""))
        except ConfigError as error:
            return refusal(429, str(error))
        self.videos.reserved[video.key] = wanted
        started = False
        try:
            refused = await self._receive(request, video)
            if refused is None:
                self.videos.start(video)
                started = True
        except (
            ConnectionError,
            web.HTTPException,
            ClientPayloadError,
        ):  # the connection was closed, or a wrong encoding
            refused = refusal(400, "the upload was interrupted")
        except OSError as error:
            refused = refusal(507, f"the video cannot be stored: {error.strerror}; make room, or set TMPDIR")
        finally:
            del self.videos.reserved[video.key]
            if not started:
                self.videos.remove(video.key)
        return refused or web.json_response(video.to_dict())

    async def _receive(self, request: web.Request, video: Video) -> web.Response | None:
        """Writes the body of a request to a file; returns the answer if that is refused."""
        size, began_s = 0, time.monotonic()
        with video.source.open("wb") as file:
            while True:
                try:
                    block = await asyncio.wait_for(request.content.readany(), STALLED_S)
                except TimeoutError:
                    return refusal(408, f"no byte arrived for {STALLED_S:g} s; send the video again")
                if not block:
                    return None
                size += len(block)
                if size > self.most_bytes:
                    return refusal(413, self._too_large)
                lasted_s = time.monotonic() - began_s
                if lasted_s > STALLED_S and size < LEAST_BYTES_PER_S * lasted_s:
                    return refusal(408, f"the upload is slower than {LEAST_BYTES_PER_S / 1000:g} kB/s; send it again")
                if video.removed.is_set():
                    return refusal(410, "the video was removed from the page")
                file.write(block)
                self.videos.reserved[video.key] = max(0, self.videos.reserved[video.key] - len(block))

    @property
    def _too_large(self) -> str:
        return f"the video is larger than {self.most_bytes / 2**20:.0f} MiB; start tavlo app with --max_mib"

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(self._video(request).to_dict())

    async def remove(self, request: web.Request) -> web.Response:
        self.videos.remove(self._video(request).key)
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

    async def make_overlay(self, request: web.Request) -> web.Response:
        video = self._found(request)
        if video.overlay is not None and not video.overlay.task.done():
            return refusal(409, "the overlay video is already being made")
        box, spectrogram = (request.query.get(name) == "true" for name in ("box", "spectrogram"))
        self.videos.start_overlay(video, self._threshold(request), box, spectrogram)
        return web.json_response(video.to_dict())

    async def overlay(self, request: web.Request) -> web.StreamResponse:
        video = self._found(request)
        path = video.folder / OVERLAY
        if not path.is_file():
            raise _not_found()
        return web.FileResponse(path, headers={"Content-Type": "video/mp4", **_save_as(video, ".overlay.mp4")})

    def _video(self, request: web.Request) -> Video:
        video = self.videos.by_key.get(request.match_info["key"])
        if video is None:
            raise _not_found()
        return video

    def _found(self, request: web.Request) -> Video:
        """A video whose maps are computed."""
        video = self._video(request)
        if video.found is None:
            raise _not_found()
        return video

    def _threshold(self, request: web.Request) -> float | None:
        """The threshold of the request; by default that of the checkpoint."""
        text = request.query.get("threshold")
        if text is None:
            return self.videos.localizer.threshold
        try:
            threshold = float(text)
        except ValueError:
            threshold = math.nan
        if not math.isfinite(threshold):
            raise web.HTTPBadRequest(text="threshold must be a number")
        return threshold


def _not_found() -> web.HTTPNotFound:
    return web.HTTPNotFound(text="no such video, or it is not ready")


def _save_as(video: Video, suffix: str) -> dict[str, str]:
    """The file name of a download: that of the video with all special characters percent-encoded."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(Path(video.name).stem + suffix, safe='')}"}
