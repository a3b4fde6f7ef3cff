"""The server of the page: uploads, results, access control, and deletion of files."""

import fcntl
import io
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from tavlo_pl.app.local import listen
from tavlo_pl.app.server import LOCK, PREFIX, SCRIPTS, STYLES, working_folder
from tavlo_pl.app.videos import MAX_VIDEOS, Videos, shown_name
from tavlo_pl.errors import ConfigError
from tavlo_pl.viz.colormap import INFERNO
from tests.helpers.app import served
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.pages import ask

HOSTILE = "../../etc/<b>\"x'\r\n #1 100% ü.mp4"


def soon(condition: Callable[[], Any]) -> None:
    """Waits for a condition."""
    until_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def finished(address: str, key: str, part: str | None = None) -> Any:
    """The state of a video after its task, or that of a part of it, has ended."""

    def state() -> Any:
        return ask(address, f"/videos/{key}").json

    soon(lambda: (state()[part] if part else state())["state"] != "running")
    return state()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Half a second of video with a flash and a click."""
    return write_numbered(tmp_path_factory.mktemp("in") / "clip.mp4", seconds=0.6, click_s=(0.3,)).path.read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Videos]]:
    with served(tmp_path) as started:
        yield started


def test_upload_gives_maps_sources_poster_and_overlay(server: tuple[str, Videos], clip: bytes) -> None:
    address, videos = server
    key = ask(address, f"/videos?name={quote(HOSTILE, safe='')}", "POST", clip).json["key"]
    state = finished(address, key)
    assert state["state"] == "ready" and state["done"] == 1.0 and state["name"] == "<b>\"x' #1 100% ü.mp4"
    shape = state["cells"]
    maps = np.frombuffer(ask(address, f"/videos/{key}/maps").body, "<f4").reshape(shape)
    archive = np.load(io.BytesIO(ask(address, f"/videos/{key}/heatmaps.npz").body))
    assert (maps.astype(np.float16) == archive["heatmap"]).all()
    part = ask(address, f"/videos/{key}/view", Range="bytes=4-7")
    assert (part.status, part.body, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")
    for threshold, visible in ((0.1, True), (0.99, False)):
        sources = ask(address, f"/videos/{key}/sources.json?threshold={threshold}")
        assert sources.json["threshold"] == threshold and (sources.json["visible_share"] > 0) == visible
        assert sources.json["video"] == state["name"] and len(sources.json["steps"]) == shape[0]
    saved = sources.headers["content-disposition"]
    assert saved == f"attachment; filename*=UTF-8''{quote('<b>' + chr(34) + 'x' + chr(39) + ' #1 100% ü', safe='')}" + (
        ".sources.json"
    )
    assert ask(address, f"/videos/{key}/poster.jpg").body[:2] == b"\xff\xd8"
    assert ask(address, f"/videos/{key}/overlay.mp4").status == 404
    ask(address, f"/videos/{key}/overlay?threshold=0.25&box=true", "POST")
    assert finished(address, key, "overlay")["overlay"]["threshold"] == 0.25
    assert ask(address, f"/videos/{key}/overlay.mp4").body[4:8] == b"ftyp"
    assert ask(address, f"/videos/{key}", "DELETE").status == 200
    assert ask(address, f"/videos/{key}").status == 404
    assert not list(videos.folder.iterdir())


def test_view_is_a_copy_if_browsers_do_not_play_the_video(server: tuple[str, Videos], tmp_path: Path) -> None:
    address, _ = server
    source = write_numbered(tmp_path / "c.avi", seconds=0.4, video_codec="mpeg4", audio_codec="pcm_s16le", click_s=())
    key = ask(address, "/videos?name=c.avi", "POST", source.path.read_bytes()).json["key"]
    assert finished(address, key)["state"] == "ready"
    assert ask(address, f"/videos/{key}/view").body[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("body", "words"), [(b"", "is empty"), (b"<html>", "not a media file"), (b"ffconcat version 1.0\nfile x\n", "")]
)
def test_error_names_the_uploaded_file(server: tuple[str, Videos], body: bytes, words: str) -> None:
    address, videos = server
    state = finished(address, ask(address, "/videos?name=a.mp4", "POST", body).json["key"])
    assert state["state"] == "failed" and words in state["error"]
    assert state["error"].startswith("a.mp4: ") and str(videos.folder) not in state["error"]


def test_upload_above_the_limit_is_refused_and_deleted(server: tuple[str, Videos]) -> None:
    address, videos = server
    stated = ask(address, "/videos?name=a.mp4", "POST", b"x", Content_Length=str(10 * 2**20))
    assert stated.status == 413 and "larger than 4 MiB" in stated.json["error"]
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    blocks = iter([bytes(2**20)] * 6)
    try:
        connection.request("POST", "/videos?name=a.mp4", blocks, encode_chunked=True)
        assert connection.getresponse().status == 413
    except OSError:  # the server closed the connection
        pass
    connection.close()
    soon(lambda: not list(videos.folder.iterdir()) and not videos.by_key)


def test_interrupted_upload_is_deleted(server: tuple[str, Videos]) -> None:
    address, videos = server
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(
            f"POST /videos?name=a.mp4 HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 999\r\n\r\nx".encode()
        )
        soon(lambda: list(videos.folder.glob("*/source")))
    soon(lambda: not list(videos.folder.iterdir()) and not videos.by_key)


def test_new_video_replaces_the_oldest(server: tuple[str, Videos]) -> None:
    address, videos = server
    keys = []
    for number in range(MAX_VIDEOS + 1):
        keys.append(ask(address, f"/videos?name={number}.mp4", "POST", b"<html>").json["key"])
        finished(address, keys[-1])
    assert list(videos.by_key) == keys[1:]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/videos/..%2f..%2f..%2fetc%2fpasswd",
        "/videos/../../../etc/passwd/view",
        "/videos/./view",
        "/videos/%00/view",
        "/server.py",
        "/page.html",
        "/static/",
        "/static/app.html.j2",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "//etc/passwd",
        "/videos",
    ],
)
def test_other_paths_are_not_served(server: tuple[str, Videos], path: str) -> None:
    assert ask(server[0], path).status in (400, 404, 405)


def test_requests_of_other_sites_are_refused(server: tuple[str, Videos], clip: bytes) -> None:
    address, videos = server
    port = urlsplit(address).port
    assert ask(address, "/", Host="attacker.example").status == 403
    assert ask(address, "/", Host=f"localhost:{port}").status == 200
    for origin in ("https://attacker.example", "null", "http://127.0.0.1:1"):
        assert ask(address, "/videos?name=a.mp4", "POST", clip, Origin=origin).status == 403
    assert not videos.by_key
    page = ask(address, "/", Origin=address)
    assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    assert b"http:" not in page.body and b"https:" not in page.body
    assert b"a note &lt;b&gt;" in page.body and b"<b>" not in page.body


def test_page_loads_only_its_static_files(server: tuple[str, Videos]) -> None:
    address, _ = server
    page = ask(address, "/").body.decode()
    assert "<style" not in page and " style=" not in page and "<script>" not in page  # forbidden by the policy
    loaded = set(re.findall(r'(?:src|href)="(/[^"]*)"', page))
    assert loaded == {"/static/page.css", "/static/app.css", "/static/app.js"}
    static = [f"/static/{name}" for name in (*STYLES, *SCRIPTS)]
    for path in static:
        answer = ask(address, path)
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.status == 200 and answer.headers["content-type"].startswith(kind)
        for name in re.findall(r'from "\./([^"]*)"', answer.body.decode()):
            assert f"/static/{name}" in static


def test_settings_contain_the_colormap(server: tuple[str, Videos]) -> None:
    settings = ask(server[0], "/settings").json
    assert settings["colormap"] == INFERNO.tolist() and settings["most_bytes"] == 2**22


def test_listen_binds_to_localhost() -> None:
    with listen(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            listen(port)
    with pytest.raises(ConfigError, match="from 0 to 65535"):
        listen(70_000)


def test_working_folder_is_deleted_with_abandoned_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("abandoned", "used"):
        (tmp_path / f"{PREFIX}{name}").mkdir()
        (tmp_path / f"{PREFIX}{name}" / LOCK).touch()
    (tmp_path / f"{PREFIX}beginning").mkdir()
    with (tmp_path / f"{PREFIX}used" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with working_folder() as folder:
            (folder / "video").write_bytes(b"x")
            assert folder.stat().st_mode & 0o077 == 0
            assert {path.name for path in tmp_path.iterdir()} == {
                folder.name,
                f"{PREFIX}used",
                f"{PREFIX}beginning",
            }
    assert {path.name for path in tmp_path.iterdir()} == {f"{PREFIX}used", f"{PREFIX}beginning"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.mp4", "a.mp4"),
        ("C:\\x\\b.mov", "b.mov"),
        ("..", "video"),
        ("", "video"),
        ("/", "video"),
        ("a\0\n.mp4", "a.mp4"),
    ],
)
def test_shown_name_has_no_folders_or_control_characters(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert len(shown_name("x" * 300)) == 100


def test_missing_extra_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    outcome = tavlo("app")
    assert outcome.code == 2 and "pip install 'tavlo_pl[app]'" in outcome.err


def test_used_port_and_invalid_options_are_errors(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = tavlo("app", "--port", listener.getsockname()[1])
    assert taken.code == 2 and "give --port 0" in taken.err
    assert tavlo("app", "--max_mib", 0).code == 2
    assert tavlo("app", "--maps_per_second", -1).code == 2
    missing = tavlo("app", "--port", 0, "--ckpt_path", tmp_path / "none.ckpt")
    assert missing.code == 2 and "no checkpoint at" in missing.err
