"""The server of the page: its routes. All addresses but those of the page itself contain a random key."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aiohttp import web

from tavlo_pl.annotate.locks import RENEWED_S
from tavlo_pl.annotate.workspace import ConflictError, Order, Workspace, check_name
from tavlo_pl.app.local import add_static, guarded_app, refusal
from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.types import TASKS
from tavlo_pl.viz.page import render

PACKAGE = "tavlo_pl.annotate"
STYLES = ("page.css", "annotate.css")
SCRIPTS = (
    "annotate.js", "edit.js", "keys.js", "masks.js", "panel.js", "queue.js", "segment.js", "server.js", "stage.js",
    "state.js", "timeline.js", "tools.js",
)  # fmt: skip
LARGEST_STATE_BYTES = 16 * 2**20
LONGEST_SESSION = 64
READERS = 8
"""Requests that wait for videos at a time; a page has four."""

T = TypeVar("T")


def make_app(workspace: Workspace, port: int, key: str, annotator: str) -> web.Application:
    """Makes the application with all routes.

    Args:
        workspace: the pass over a project.
        port: of the server; requests with another ``Host`` header are refused.
        key: random text in the addresses.
        annotator: name that the page proposes.
    """
    server = _Server(workspace, annotator)
    app = guarded_app(port, LARGEST_STATE_BYTES)
    app.on_shutdown.append(server.close)
    add_static(app, PACKAGE, STYLES, SCRIPTS)
    root, frame = f"/k/{key}", f"/k/{key}/clips/{{clip:\\d+}}/frames/{{number:\\d+}}"
    app.add_routes(
        [
            web.get("/", server.page),
            web.get(f"{root}/project", server.project),
            web.get(f"{root}/locks", server.locks),
            web.get(frame, server.frame),
            web.post(frame, server.save),
            web.post(f"{frame}/undo", server.undo),
            web.post(f"{frame}/segment", server.segment),
            web.get(f"{frame}.jpg", server.image),
            web.post(f"{root}/clips/{{clip:\\d+}}/lock", server.lock),
            web.post(f"{root}/clips/{{clip:\\d+}}/unlock", server.unlock),
            web.get(f"{root}/clips/{{clip:\\d+}}/video", server.video),
            web.get(f"{root}/clips/{{clip:\\d+}}/peaks", server.peaks),
            web.get(f"{root}/clips/{{clip:\\d+}}/spectrogram.png", server.spectrogram),
        ]
    )
    return app


class _Server:
    def __init__(self, workspace: Workspace, annotator: str) -> None:
        self.workspace = workspace
        self.annotator = annotator
        self._readers = ThreadPoolExecutor(READERS, "readers")

    async def page(self, _: web.Request) -> web.Response:
        text = render(
            PACKAGE,
            "annotate.html.j2",
            title="Annotate sounding sources",
            styles=[f"/static/{name}" for name in STYLES],
            script=f"/static/{SCRIPTS[0]}",
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def project(self, request: web.Request) -> web.Response:
        """The queue and what the page needs once."""
        order: Order = "clips" if request.query.get("order") == "clips" else "uncertain"
        entries = self.workspace.entries(order)
        return web.json_response(
            {
                "annotator": self.annotator,
                "blind": self.workspace.blind is not None,
                "segmenter": self.workspace.masks is not None,
                "clips": self.workspace.clips,
                "frames": [[each.clip, each.number, each.status] for each in entries],
                "categories": sorted(self.workspace.categories),
                "scenarios": list(TASKS.values()),
                "renewed_s": RENEWED_S,
                "problems": self.workspace.problems,
            }
        )

    async def locks(self, _: web.Request) -> web.Response:
        """Who works on which clip."""
        locked = self.workspace.locked()
        return web.json_response({str(clip): [holder.annotator, holder.session] for clip, holder in locked.items()})

    async def frame(self, request: web.Request) -> web.Response:
        clip, number = self._place(request)
        return await self._answer(lambda: self.workspace.frame(clip, number))

    async def save(self, request: web.Request) -> web.Response:
        clip, number = self._place(request)
        session, annotator = _who(request)
        state = await _json(request, "the state of the frame")
        return await self._answer(lambda: self.workspace.save(clip, number, state, session, annotator))

    async def segment(self, request: web.Request) -> web.Response:
        """A mask of clicks or a box."""
        clip, number = self._place(request)
        prompt = await _json(request, "the prompt")
        return await self._answer(lambda: self.workspace.segment(clip, number, prompt))

    async def undo(self, request: web.Request) -> web.Response:
        clip, number = self._place(request)
        session, annotator = _who(request)
        return await self._answer(lambda: self.workspace.undo(clip, number, session, annotator))

    async def image(self, request: web.Request) -> web.Response:
        clip, number = self._place(request)
        body = await self._read(lambda: self.workspace.image(clip, number))
        return web.Response(body=body, content_type="image/jpeg")

    async def video(self, request: web.Request) -> web.StreamResponse:
        clip = self._clip(request)
        path, kind = await self._read(lambda: self.workspace.video(clip))
        return web.FileResponse(path, headers={"Content-Type": kind})

    async def peaks(self, request: web.Request) -> web.Response:
        clip = self._clip(request)
        return web.json_response(await self._read(lambda: self.workspace.peaks(clip)))

    async def spectrogram(self, request: web.Request) -> web.Response:
        clip = self._clip(request)
        body = await self._read(lambda: self.workspace.spectrogram(clip))
        return web.Response(body=body, content_type="image/png")

    async def lock(self, request: web.Request) -> web.Response:
        """Takes or renews the lock of a clip; states who has it."""
        session, annotator = _who(request)
        holder = self.workspace.take(self._clip(request), session, annotator)
        return web.json_response({"mine": holder.session == session, "annotator": holder.annotator})

    async def unlock(self, request: web.Request) -> web.Response:
        session, _ = _who(request)
        self.workspace.release(self._clip(request), session)
        return web.json_response({})

    async def close(self, _: web.Application) -> None:
        """Ends the work on videos, for which the end of the program would wait."""
        self.workspace.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _read(self, read: Callable[[], T]) -> T:
        """The result of a function that may wait for a video, in a thread that saving does not need."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    def _clip(self, request: web.Request) -> int:
        text = request.match_info["clip"]
        if len(text) > 9 or int(text) >= len(self.workspace.clips):
            raise web.HTTPNotFound(text="no such clip")
        return int(text)

    def _place(self, request: web.Request) -> tuple[int, int]:
        clip, text = self._clip(request), request.match_info["number"]
        if len(text) > 9 or (clip, int(text)) not in self.workspace.queue:
            raise web.HTTPNotFound(text="no such frame")
        return clip, int(text)

    @staticmethod
    async def _answer(read: Callable[[], Any]) -> web.Response:
        """The result of a function as JSON, or its error as a sentence."""
        try:
            return web.json_response(await asyncio.to_thread(read))
        except ConflictError as error:
            return refusal(409, str(error))
        except TavloError as error:
            return refusal(422, str(error))
        except OSError as error:
            return refusal(507, f"nothing was saved: {error.filename or 'a file'}: {error.strerror}")


async def _json(request: web.Request, what: str) -> Any:
    """The JSON body of a request."""
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        text = json.dumps({"error": f"{what} is no JSON"})
        raise web.HTTPBadRequest(text=text, content_type="application/json") from error


def _who(request: web.Request) -> tuple[str, str]:
    """Session and name of the annotator of a request."""
    session = request.query.get("session", "")
    try:
        annotator = check_name(request.query.get("annotator", ""))
    except ConfigError as error:
        raise web.HTTPBadRequest(text=json.dumps({"error": str(error)}), content_type="application/json") from error
    if not 8 <= len(session) <= LONGEST_SESSION or not session.isalnum():
        raise web.HTTPBadRequest(text="no session")
    return session, annotator
