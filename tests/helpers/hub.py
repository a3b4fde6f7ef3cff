"""A hub on the loopback interface with the addresses that ``huggingface_hub`` asks for, in memory."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import huggingface_hub
import pytest
from huggingface_hub import constants

from tavlo_pl.io import hub

Files = dict[str, bytes]


class FakeHub:
    """Repositories by name, each with its revisions; what was asked is kept in `asked`.

    Attributes:
        repositories: ``owner/name`` -> revision -> files by name.
        refused: ``owner/name`` -> status and error code of every answer.
        asked: method and path of every request.
        created: bodies of the requests that made a repository.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Files]] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.created: list[dict[str, Any]] = []
        self.messages: list[str] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of the answer to a request."""
        self.asked.append(f"{method} {path}")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["api", "validate-yaml"]:
            return _json({"warnings": [], "errors": []})
        content = json.loads(body) if parts == ["api", "repos", "create"] else None
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        name = f"{content['organization']}/{content['name']}" if content else name
        if name in self.refused or not (content or name in self.repositories):
            return _error(*self.refused.get(name, (404, "RepoNotFound")))
        if content:
            return self._create(name, content)
        revisions = self.repositories[name]
        return self._change(revisions, *parts[4:6], body) if parts[0] == "api" else self._file(revisions, *parts[3:])

    def _create(self, name: str, content: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        known = name in self.repositories
        self.created.append(content)
        self.repositories.setdefault(name, {"main": {}})
        _, headers, answer = _json({"url": f"{constants.ENDPOINT}/{name}"})
        return (409 if known else 200), headers, answer

    def _file(self, revisions: dict[str, Files], revision: str, file: str) -> tuple[int, dict[str, str], bytes]:
        found = {_commit(files): files for files in revisions.values()} | revisions
        if revision not in found:
            return _error(404, "RevisionNotFound")
        if file not in found[revision]:
            return _error(404, "EntryNotFound")
        content = found[revision][file]
        marks = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": _commit(found[revision])}
        return 200, marks, content

    def _change(
        self, revisions: dict[str, Files], kind: str, revision: str, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if kind == "branch":
            revisions.setdefault(revision, dict(revisions["main"]))
            return _json({})
        if kind == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            return _json({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        assert kind == "commit"
        files = dict(revisions[revision])
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                self.messages.append(line["value"]["summary"])
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        revisions[revision] = files
        return _json({"success": True, "commitOid": _commit(files), "commitUrl": f"{constants.ENDPOINT}/a/b/commit/1"})


def _commit(files: Files) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def _json(content: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"X-Error-Code": code} if code else {}, b"{}"


@contextmanager
def serving(content: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes ``huggingface_hub`` of this process use the hub, an empty cache, and no token of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = content.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(answer))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_HEAD = do_POST = _reply  # noqa: N815  # names of the base class

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(cache / "harnesses.json"))
    huggingface_hub.close_session()
    hub._download.cache_clear()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        huggingface_hub.close_session()
        hub._download.cache_clear()
