"""Requests and uploads that would block the page, fill the disk, or end in an internal error."""

import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tavlo_pl import env
from tavlo_pl.app import server
from tavlo_pl.app.server import working_folder
from tavlo_pl.errors import ConfigError
from tests.app.test_server import ask, finished, soon
from tests.helpers.app import served
from tests.helpers.clips import write_numbered
from tests.helpers.predict import Slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_numbered(tmp_path_factory.mktemp("in") / "clip.mp4", seconds=0.4, click_s=()).path.read_bytes()


def test_work_is_killed_at_the_limit_and_when_removed(
    tmp_path: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as (address, videos):
        fast, videos.localizer.model = videos.localizer.model, Slow()
        key = ask(address, "/videos?name=a.mp4", "POST", clip).json["key"]
        soon(lambda: ask(address, f"/videos/{key}").json["step"] == "computing the maps")
        assert ask(address, f"/videos/{key}", "DELETE").status == 200
        soon(lambda: not list(tmp_path.iterdir()))
        monkeypatch.setenv(env.CLIP_TIMEOUT_S, "2")
        key = ask(address, "/videos?name=b.mp4", "POST", clip).json["key"]
        state = finished(address, key)
        assert state["state"] == "failed" and "b.mp4: reading it took longer than 2 s" in state["error"]
        monkeypatch.delenv(env.CLIP_TIMEOUT_S)
        videos.localizer.model = fast
        assert finished(address, ask(address, "/videos?name=c.mp4", "POST", clip).json["key"])["state"] == "ready"
        videos.localizer.model = Slow()
        ask(address, "/videos?name=d.mp4", "POST", clip)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 20  # the end of the server ends its work


def raw(address: str, request: str) -> bytes:
    """The answer to a request that is sent unchanged."""
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as line:
        line.sendall(request.replace("HOST", where.netloc).replace("\n", "\r\n").encode())
        return line.recv(65536)


def test_odd_requests_are_no_errors_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "STALLED_S", 0.3)
    with served(tmp_path) as (address, videos):
        post = "POST /videos?name=a.mp4 HTTP/1.1\nHost: HOST\n"
        for encoding in ("gzip", "deflate", "br", "zstd", "x", "gzip, gzip"):
            answer = raw(address, f"{post}Content-Encoding: {encoding}\nContent-Length: 4\n\nabcd")
            assert answer.split()[1] in (b"400", b"415"), answer
        assert raw(address, f"{post}Content-Length: 999\n\nab").split()[1] == b"408"
        where = urlsplit(address)
        for _ in range(3):
            with socket.create_connection((where.hostname, where.port)) as line:
                line.sendall(
                    f"{post}Content-Length: 999\n\nab".replace("HOST", where.netloc).replace("\n", "\r\n").encode()
                )
        soon(lambda: not videos.by_key and not list(tmp_path.iterdir()) and not videos.reserved)
        for path in ("/videos/none/view", "/videos/none/maps", "/videos/none/poster.jpg", "/videos/none/sources.json"):
            assert ask(address, path).status == 404
        assert ask(address, "/videos/none", "DELETE").status == 404
    assert "Traceback" not in caplog.text and "Error handling request" not in caplog.text


def test_uploads_together_leave_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as (address, videos):
        free = server.shutil.disk_usage(tmp_path).free
        monkeypatch.setattr(server, "SPARE_BYTES", free - 3 * 2**20)
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port)) as line:
            head = f"POST /videos?name=a.mp4 HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {2**21}\r\n\r\nx"
            line.sendall(head.encode())
            soon(lambda: videos.reserved)
            assert ask(address, "/videos?name=b.mp4", "POST", b"x", Content_Length=str(2**21)).status == 507
        soon(lambda: not videos.reserved)


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match="set TMPDIR to one that is writable"), working_folder():
        pass
