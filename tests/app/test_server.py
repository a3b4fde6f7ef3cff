"""The server of the page: what it takes, what it tells, whom it answers, and what it leaves behind."""

import fcntl
import io
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from tavlo_pl.app.server import LOCK, PREFIX, listen, working_folder
from tavlo_pl.app.videos import KEPT, Videos, shown_name
from tavlo_pl.errors import ConfigError
from tests.helpers.app import served
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered

NASTY = "../../etc/<b>\"x'\r\n #1 100% ü.mp4"


class Answer(NamedTuple):
    """Of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """One request; `path` is sent as it is."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


def soon(condition: Callable[[], Any]) -> None:
    """Waits for it."""
    until_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def finished(address: str, key: str, part: str | None = None) -> Any:
    """The state of a video once the work on it, or on a part of it, has ended."""

    def state() -> Any:
        return ask(address, f"/videos/{key}").json

    soon(lambda: (state()[part] if part else state())["state"] != "running")
    return state()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Half a second with a flash and a click."""
    return write_numbered(tmp_path_factory.mktemp("in") / "clip.mp4", seconds=0.6, click_s=(0.3,)).path.read_bytes()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Videos]]:
    with served(tmp_path) as started:
        yield started


def test_from_a_video_to_its_maps_sources_poster_and_film(server: tuple[str, Videos], clip: bytes) -> None:
    address, videos = server
    key = ask(address, f"/videos?name={quote(NASTY, safe='')}", "POST", clip).json["key"]
    state = finished(address, key)
    assert state["state"] == "ready" and state["done"] == 1.0 and state["name"] == "<b>\"x' #1 100% ü.mp4"
    shape = state["cells"]
    maps = np.frombuffer(ask(address, f"/videos/{key}/maps").body, "<f4").reshape(shape)
    archive = np.load(io.BytesIO(ask(address, f"/videos/{key}/heatmaps.npz").body))
    assert (maps == archive["heatmap"]).all()
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
    assert ask(address, f"/videos/{key}/film.mp4").status == 404
    ask(address, f"/videos/{key}/film?threshold=0.25&box=true", "POST")
    assert finished(address, key, "film")["film"]["threshold"] == 0.25
    assert ask(address, f"/videos/{key}/film.mp4").body[4:8] == b"ftyp"
    assert ask(address, f"/videos/{key}", "DELETE").status == 200
    assert ask(address, f"/videos/{key}").status == 404
    assert not list(videos.folder.iterdir())


def test_a_video_that_browsers_do_not_play_is_copied(server: tuple[str, Videos], tmp_path: Path) -> None:
    address, _ = server
    source = write_numbered(tmp_path / "c.avi", seconds=0.4, video_codec="mpeg4", audio_codec="pcm_s16le", click_s=())
    key = ask(address, "/videos?name=c.avi", "POST", source.path.read_bytes()).json["key"]
    assert finished(address, key)["state"] == "ready"
    assert ask(address, f"/videos/{key}/view").body[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("body", "words"), [(b"", "is empty"), (b"<html>", "not a media file"), (b"ffconcat version 1.0\nfile x\n", "")]
)
def test_what_is_no_video_is_told_by_its_name(server: tuple[str, Videos], body: bytes, words: str) -> None:
    address, videos = server
    state = finished(address, ask(address, "/videos?name=a.mp4", "POST", body).json["key"])
    assert state["state"] == "failed" and words in state["error"]
    assert state["error"].startswith("a.mp4: ") and str(videos.folder) not in state["error"]


def test_too_much_is_refused_and_nothing_of_it_kept(server: tuple[str, Videos]) -> None:
    address, videos = server
    stated = ask(address, "/videos?name=a.mp4", "POST", b"x", Content_Length=str(10 * 2**20))
    assert stated.status == 413 and "larger than 4 MiB" in stated.json["error"]
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    blocks = iter([bytes(2**20)] * 6)
    try:
        connection.request("POST", "/videos?name=a.mp4", blocks, encode_chunked=True)
        assert connection.getresponse().status == 413
    except OSError:  # it hung up on us
        pass
    connection.close()
    soon(lambda: not list(videos.folder.iterdir()) and not videos.by_key)


def test_a_browser_that_goes_away_in_the_middle_leaves_nothing(server: tuple[str, Videos]) -> None:
    address, videos = server
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(
            f"POST /videos?name=a.mp4 HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 999\r\n\r\nx".encode()
        )
        soon(lambda: list(videos.folder.glob("*/source")))
    soon(lambda: not list(videos.folder.iterdir()) and not videos.by_key)


def test_the_oldest_make_room(server: tuple[str, Videos]) -> None:
    address, videos = server
    keys = []
    for number in range(KEPT + 1):
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
        "//etc/passwd",
        "/videos",
    ],
)
def test_nothing_else_is_served(server: tuple[str, Videos], path: str) -> None:
    assert ask(server[0], path).status in (400, 404, 405)


def test_only_its_own_page_is_answered(server: tuple[str, Videos], clip: bytes) -> None:
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
    assert ask(address, "/settings").json["note"] == "a note <b>"  # the page shows it as text


def test_it_listens_on_this_machine_alone() -> None:
    with listen(0) as door:
        host, port = door.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ConfigError, match=f"port {port} cannot be used"):
            listen(port)
    with pytest.raises(ConfigError, match="from 0 to 65535"):
        listen(70_000)


def test_the_folder_goes_and_so_do_those_of_servers_that_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("left", "used"):
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
def test_a_name_is_a_name_only(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert len(shown_name("x" * 300)) == 100


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    told = tavlo("app")
    assert told.code == 2 and "pip install 'tavlo_pl[app]'" in told.err


def test_a_taken_port_and_a_wrong_option_are_told(tmp_path: Path) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        taken = tavlo("app", "--port", door.getsockname()[1])
    assert taken.code == 2 and "give --port 0" in taken.err
    assert tavlo("app", "--max_mib", 0).code == 2
    assert tavlo("app", "--maps_per_second", -1).code == 2
    gone = tavlo("app", "--port", 0, "--ckpt_path", tmp_path / "none.ckpt")
    assert gone.code == 2 and "no checkpoint at" in gone.err
