"""What the servers of all local pages share: the address, access control, headers and static files.

The servers are bound to 127.0.0.1. Requests from pages of other sites in a browser on this machine are refused by their
``Host`` and ``Origin`` headers, and pages load their own files only.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.viz.page import static_text

ADDRESS = "127.0.0.1"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def listen(port: int) -> socket.socket:
    """Opens a socket on 127.0.0.1.

    Args:
        port: 0 for a free one.

    Raises:
        ConfigError: the port is in use or not permitted.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: a port is a number from 0 to 65535")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {port} cannot be used ({error.strerror}); give --port 0 for one that is free"
        ) from error
    return listener


def guarded_app(port: int, most_bytes: int = 2**20) -> web.Application:
    """Makes an application without routes that answers requests of its own page only.

    Args:
        port: of the server; requests with another ``Host`` or from another ``Origin`` are refused.
        most_bytes: maximum size of a request that is read as a whole.
    """
    hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.host not in hosts or (origin is not None and origin != f"http://{request.host}"):
            return refusal(403, "this server answers requests of its own page only")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return refusal(415, "send the content as it is, without Content-Encoding")
        try:
            return await handler(request)
        except TavloError as error:
            return refusal(422, str(error))
        except MemoryError:
            return refusal(507, "there is not enough memory for this video; try it again")

    options = {"auto_decompress": False}  # encoded content is refused, not unpacked
    app = web.Application(middlewares=[guard], client_max_size=most_bytes, handler_args=options)
    app.on_response_prepare.append(_add_headers)
    return app


def add_static(app: web.Application, package: str, styles: Sequence[str], scripts: Sequence[str]) -> None:
    """Adds the static files of a page at ``/static/<name>``; there are no others.

    Args:
        app: the application.
        package: whose folder ``static`` has the files, see `static_text`.
        styles: names of the style sheets.
        scripts: names of the scripts.
    """

    def serve(name: str, kind: str) -> Handler:
        async def static(_: web.Request) -> web.StreamResponse:
            return web.Response(text=static_text(package, name), content_type=kind, charset="utf-8")

        return static

    kinds = dict.fromkeys(styles, "text/css") | dict.fromkeys(scripts, "text/javascript")
    app.add_routes([web.get(f"/static/{name}", serve(name, kind)) for name, kind in kinds.items()])


def refusal(status: int, reason: str) -> web.Response:
    """An error that the page shows."""
    return web.json_response({"error": reason}, status=status)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
