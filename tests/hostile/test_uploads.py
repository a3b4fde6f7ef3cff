"""Uploads that are slow, many or broken off, and videos that are removed while they are read."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tavlo_pl.app import server
from tavlo_pl.app import videos as app_videos
from tavlo_pl.app.videos import MAX_VIDEOS
from tests.app.test_server import ask, finished, soon
from tests.helpers.app import served
from tests.helpers.clips import write_numbered


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_numbered(tmp_path_factory.mktemp("in") / "clip.mp4", seconds=0.4, click_s=()).path.read_bytes()


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work on a video, which takes a process of its own otherwise."""

    def run(task: Any, _folder: Path, arguments: tuple[Any, ...], report: Any, *_: Any) -> Any:
        return task(*arguments, report)

    monkeypatch.setattr(app_videos, "run", run)


@contextmanager
def slow_upload(address: str, every_s: float) -> Iterator[socket.socket]:
    """An upload of one byte at a time."""
    where, ended = urlsplit(address), threading.Event()
    with socket.create_connection((where.hostname, where.port), timeout=60) as line:
        head = f"POST /videos?name=a.mp4 HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: 999\r\n\r\n"
        line.sendall(head.encode())

        def drip() -> None:
            while not ended.wait(every_s):
                try:
                    line.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield line
        finally:
            ended.set()
            thread.join()


def test_slow_uploads_end_and_do_not_block_others(
    tmp_path: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "STALLED_S", 0.5)
    with served(tmp_path) as (address, videos), ExitStack() as lines:
        slow = [lines.enter_context(slow_upload(address, 0.05)) for _ in range(MAX_VIDEOS)]
        for line in slow:
            assert line.recv(65536).split()[1] == b"408"
        soon(lambda: not videos.by_key and not videos.reserved and not list(tmp_path.iterdir()))
        assert ask(address, "/videos?name=b.mp4", "POST", clip).status == 200
    assert "Traceback" not in caplog.text and "Error handling request" not in caplog.text


class NoMemory(dict[str, object]):
    """Videos whose every use lacks memory."""

    def get(self, *_args: Any, **_kwargs: Any) -> Any:
        raise MemoryError


def test_lack_of_memory_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with served(tmp_path) as (address, videos):
        videos.by_key, kept = NoMemory(), videos.by_key  # type: ignore[assignment]
        answer = ask(address, "/videos/a")
        videos.by_key = kept
    assert answer.status == 507 and "not enough memory" in answer.json["error"]
    assert "Traceback" not in caplog.text


def test_video_removed_while_it_is_read_is_not_found(
    tmp_path: Path, clip: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    statuses: set[int] = set()
    with served(tmp_path) as (address, _):
        for _ in range(3):
            key = ask(address, "/videos?name=a.mp4", "POST", clip).json["key"]
            assert finished(address, key)["state"] == "ready"
            gone, paths = threading.Event(), ("", "/view", "/maps", "/sources.json", "/heatmaps.npz")

            def read(path: str, key: str = key, gone: threading.Event = gone) -> None:
                while not gone.is_set():
                    statuses.add(ask(address, f"/videos/{key}{path}").status)
                statuses.add(ask(address, f"/videos/{key}{path}").status)

            readers = [threading.Thread(target=read, args=[path]) for path in paths]

            def draw(key: str = key) -> None:
                statuses.add(ask(address, f"/videos/{key}/poster.jpg").status)

            poster = threading.Thread(target=draw)
            for reader in (*readers, poster):
                reader.start()
            time.sleep(0.05)
            assert ask(address, f"/videos/{key}", "DELETE").status == 200
            gone.set()
            for reader in (*readers, poster):
                reader.join()
        soon(lambda: not list(tmp_path.iterdir()))
    assert {200, 404} <= statuses <= {200, 206, 404}
    assert "Traceback" not in caplog.text and "Error handling request" not in caplog.text
