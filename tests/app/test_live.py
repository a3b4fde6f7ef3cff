"""``tavlo live``: the page, the command, and the delay of a file that is played in real time."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tavlo_pl.app.live import Publisher, Window, make_live_app
from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.live import LiveImage
from tavlo_pl.predict.sources import Moment
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.pages import ask, running

WORLD = Path(__file__).parents[2] / "tavlo_pl" / "weights" / "world.safetensors"
MOMENT = Moment(0.0, 1.0, 1.0, 0.5, None, None)


def test_page_shows_the_newest_image_and_guards_it() -> None:
    publisher = Publisher()
    for number in range(3):
        publisher.publish(LiveImage(np.zeros((2, 2, 3), np.uint8), b"image %d" % number, MOMENT, (), 0.1))
    with running(lambda port: make_live_app(publisher, port, "clip <b>")) as address:
        page = ask(address, "/")
        assert page.status == 200
        assert b"clip &lt;b&gt;" in page.body
        assert b"/stream.mjpg" in page.body
        assert "img-src 'self'" in page.headers["content-security-policy"]
        assert ask(address, "/stream.mjpg", Host="evil.example").status == 403
        assert ask(address, "/stream.mjpg", Origin="http://evil.example").status == 403
        assert ask(address, "/other").status == 404
        assert ask(address, "/static/page.css").status == 200
        connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
        connection.request("GET", "/stream.mjpg")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        first = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 7\r\n\r\nimage 2\r\n"
        assert answer.read(len(first)) == first
        publisher.publish(LiveImage(np.zeros((2, 2, 3), np.uint8), b"image 9", MOMENT, (), 0.1))
        assert answer.read(len(first)) == first.replace(b"image 2", b"image 9")
        publisher.has_ended = True
        assert answer.read() == b""
        connection.close()


def test_live_plays_a_file_to_its_end(tmp_path: Path) -> None:
    write_numbered(tmp_path / "clip.mp4", seconds=0.6)
    outcome = tavlo("live", tmp_path / "clip.mp4", "--ckpt_path", WORLD, "--port", 0)
    assert outcome.code == 0, outcome.err
    assert "Open http://127.0.0.1:" in outcome.out
    assert "the input has ended: " in outcome.out
    assert "late frames dropped" in outcome.out


def test_live_mistakes_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbered(tmp_path / "clip.mp4", seconds=0.2)
    monkeypatch.setitem(sys.modules, "cv2", None)
    for words, said in (
        (["none.mp4"], "none.mp4: no such file; for cameras write camera:0"),
        (["camera:front"], "cameras have numbers"),
        ([tmp_path / "clip.mp4", "--port", 99999, "--ckpt_path", WORLD], "a port is a number from 0 to 65535"),
        ([tmp_path / "clip.mp4", "--port", 0, "--window", "true", "--ckpt_path", WORLD], "--window needs a display"),
    ):
        outcome = tavlo("live", *words)
        assert outcome.code == 2
        assert len(outcome.err.strip().splitlines()) == 1
        assert said in outcome.err


def test_predict_names_tavlo_live_for_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # of the run folder
    outcome = tavlo("predict", "--data.root", "camera:0", "--trainer.accelerator", "cpu")
    assert outcome.code == 2
    assert "camera:0 is a live input, and predict reads files; to see it live: tavlo live camera:0" in outcome.err


def test_window_shows_images_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cv2:
        """The four functions of OpenCV that a window needs."""

        WND_PROP_VISIBLE = 4

        def __init__(self) -> None:
            self.keys = [-1, ord("q")]
            self.shown: list[np.ndarray] = []

        def namedWindow(self, title: str) -> None: ...  # noqa: N802

        def imshow(self, title: str, image: np.ndarray) -> None:
            self.shown.append(image)

        def waitKey(self, wait_ms: int) -> int:  # noqa: N802
            return self.keys.pop(0)

        def getWindowProperty(self, title: str, number: int) -> float:  # noqa: N802
            return 1.0

    cv2 = Cv2()
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    image = LiveImage(np.array([[[1, 2, 3]]], np.uint8), b"", MOMENT, (), 0.1)
    window = Window("clip")
    assert window.show(image)
    assert not window.show(image)
    assert cv2.shown[0].tolist() == [[[3, 2, 1]]]  # OpenCV's order of colours
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match="--window needs a display"):
        Window("clip")


def start(*words: object) -> "subprocess.Popen[str]":
    """Starts ``tavlo live`` in a process."""
    command = [sys.executable, "-m", "tavlo_pl", "live", *map(str, words), "--ckpt_path", str(WORLD), "--port", "0"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    interruptible = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore it
    return subprocess.Popen(command, env=environment, preexec_fn=interruptible, **pipes)  # noqa: PLW1509  # one thread here


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_live_is_ended_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    write_numbered(tmp_path / "clip.mp4", seconds=60.0)
    process = start(tmp_path / "clip.mp4")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Open http://127.0.0.1:")
    time.sleep(2)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.startswith("ended: ")
    assert err == ""


@pytest.mark.slow
def test_live_is_at_most_half_a_second_behind(tmp_path: Path) -> None:
    """Needs a machine without other work."""
    write_numbered(tmp_path / "clip.mp4", seconds=4.0, size=(360, 640))
    process = start(tmp_path / "clip.mp4")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    behind_s = float(out.split(" s (95 %)")[0].rpartition(" ")[2])
    assert behind_s <= 0.5, out
