"""Time of the page of ``tavlo annotate serve`` for 50 frames that a browser driver decides.

``python -m benchmarks.annotate_page --project PROJECT`` works on a copy of a project with proposals of a checkpoint, in
headless Chromium at 1280 x 720 (``--screenshots DIR`` saves pictures). Every second frame is decided by keys alone: its
proposal is accepted, or, without one, a box is added and moved; scenario, finish. In the others a proposal is rejected
and a new source is drawn: a dragged box, its category by keys, scenario, finish. The driver does not look at the frame:
the figures are the time of page, server and driver, without that in which a person looks, listens and decides.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jsonargparse import auto_cli

from benchmarks.report import Row, single, write
from tavlo_pl.annotate.project import Project
from tests.helpers.annotate_page import serving, until
from tests.helpers.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOWN = "(() => { const i = document.getElementById('image'); return i.complete && i.naturalWidth > 0; })()"
PLACE = "document.getElementById('clip').textContent + document.getElementById('place').textContent.split(',')[0]"
SAVED = "document.getElementById('saved').textContent === 'saved'"


class Driver:
    """Decides frames with keys and the pointer; counts what it does."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.keys = self.drags = 0

    def press(self, *keys: str) -> None:
        """Presses keys."""
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def decide_by_keys(self) -> None:
        """Accepts the first proposal; without one, adds a box and moves it."""
        self.press(*(("]", "a") if self.has_proposal() else ("k", "ArrowLeft", "Shift+ArrowDown")), "1")

    def draw(self) -> None:
        """Rejects the first proposal, if there is one, and draws a box with a category."""
        self.press(*(("]", "r", "Escape") if self.has_proposal() else ()), "b")
        box = self.page.locator("#overlay").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
        self.page.mouse.up()
        self.drags += 1
        until(self.page, "document.querySelector('.source[aria-selected=true]') !== null")
        self.press("c", *"bell", "Enter", "1", "s")

    def has_proposal(self) -> bool:
        """Whether the frame has a source."""
        return self.page.locator(".source").count() > 0

    def finish(self) -> float:
        """Finishes the frame; returns the seconds until the image of the next one is shown."""
        before, start_s = self.page.evaluate(PLACE), time.perf_counter()
        self.press("Enter")
        until(self.page, f"{PLACE} !== {before!r} && {SHOWN}")
        return time.perf_counter() - start_s


def measure(page: "Page", frames: int, pictures: Path | None) -> list[Row]:
    """Decides frames and measures."""
    driver = Driver(page)
    until(page, SHOWN)
    taken_s: list[float] = []
    next_s: list[float] = []
    for number in range(frames):
        start_s = time.perf_counter()
        if number % 2:
            driver.draw()
        else:
            driver.decide_by_keys()
        if pictures is not None and number < 4:
            until(page, SAVED)
            page.emulate_media(color_scheme="light")
            page.screenshot(path=pictures / f"{number}_light.png")
            page.emulate_media(color_scheme="dark")
            page.screenshot(path=pictures / f"{number}_dark.png")
        next_s.append(driver.finish())
        taken_s.append(time.perf_counter() - start_s)
    actions = f"{driver.keys / frames:.1f} keys and {driver.drags / frames:.1f} drags a frame"
    return [
        _range("a frame, from its image to that of the next", taken_s, actions),
        _range("Enter until the image of the next frame", next_s),
        single("frames that the page states as finished", float(finished(page)), f"of {frames} decided"),
    ]


def finished(page: "Page") -> int:
    """The count of finished frames on the page."""
    return int((page.text_content("#progress") or "").split()[0])


def _range(what: str, seconds: list[float], detail: str = "") -> Row:
    median, low, high = np.quantile(seconds, (0.5, 0.05, 0.95)).tolist()
    return Row(f"{what} (5 % to 95 %)", median, low, high, "s", detail)


def main(project: str, frames: int = 50, screenshots: str | None = None) -> None:
    """Measures and writes the results.

    Args:
        project: folder of ``tavlo annotate propose`` with at least as many frames and one more; it is not changed.
        frames: number of frames to decide.
        screenshots: existing folder for pictures of the first four frames; null for none.
    """
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(project, Path(place, "project"), symlinks=True))
        with serving(Project(copy)) as server, chromium() as page:
            page.set_viewport_size({"width": 1280, "height": 720})
            page.goto(server.address)
            page.wait_for_selector("#work:not([hidden])")
            write("annotate_page", measure(page, frames, None if screenshots is None else Path(screenshots)))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
