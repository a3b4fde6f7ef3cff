"""The page of ``tavlo annotate serve``: its server as a process, and clicks and drags in pixels of the frame."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.project import Project
from tests.helpers.annotate import CLIPS, SIZE
from tests.helpers.browser import PATIENCE_MS

if TYPE_CHECKING:
    from playwright.sync_api import Page

HEIGHT, WIDTH = SIZE


class Server:
    """``tavlo annotate serve`` as a process, which can be killed."""

    def __init__(self, project: Project, *args: str) -> None:
        command = [sys.executable, "-m", "tavlo_pl", "annotate", "serve", str(project.folder), "--port", "0", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(project: Project, *args: str) -> Iterator[Server]:
    server = Server(project, *args)
    try:
        yield server
    finally:
        server.kill()


def open_page(page: "Page", server: Server, annotator: str = "ann") -> list[str]:
    """Opens the page at 1280 x 720; returns the list of its messages."""
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(server.address)
    page.wait_for_selector("#work:not([hidden])")
    page.fill("#annotator", annotator)
    page.press("#annotator", "Enter")
    page.select_option("#order", "clips")
    until(page, "document.getElementById('overlay').clientWidth > 100")
    return messages


def until(page: "Page", condition: str) -> None:
    """Waits for a condition; `wait_for_function` uses eval, which the Content-Security-Policy forbids."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end_s, condition
        page.wait_for_timeout(20)


def saved(page: "Page") -> None:
    until(page, "document.getElementById('saved').textContent === 'saved'")


def until_decided(project: Project, count: int) -> None:
    """Waits until the journal of the first clip has so many decisions."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while len(Decisions(project.folder).decisions(CLIPS[0])) < count:
        assert time.monotonic() < end_s
        time.sleep(0.05)


def shown(page: "Page", clip: str, number: int) -> None:
    """Waits until a frame is shown."""
    until(page, f"document.getElementById('clip').textContent === '{clip}'")
    until(page, f"document.getElementById('place').textContent.startsWith('frame {number},')")


def spot(page: "Page", x: float, y: float) -> tuple[float, float]:
    """Position on the page of a point of the frame."""
    box = page.locator("#overlay").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"] / WIDTH, box["y"] + y * box["height"] / HEIGHT


def click(page: "Page", x: float, y: float) -> None:
    page.mouse.click(*spot(page, x, y))


def drag(page: "Page", *points: tuple[float, float]) -> None:
    page.mouse.move(*spot(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*spot(page, *point), steps=4)
    page.mouse.up()
