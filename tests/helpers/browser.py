"""A headless Chromium from PATH; tests that need it are skipped without it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_MS = 180_000
"""A page takes about a second; with other work on all processors one minute was measured."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def needs_h264(page: "Page") -> None:
    """Skips the test if the browser plays no H.264."""
    if not page.evaluate("() => document.createElement('video').canPlayType('video/mp4; codecs=avc1.42E01E')"):
        pytest.skip("needs a Chromium that plays H.264")


@contextmanager
def chromium() -> "Iterator[Page]":
    """Opens an empty page; skips the test without a browser or without playwright."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium on PATH")
    # The sandbox does not run as root, which is the usual user of containers.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=arguments, timeout=PATIENCE_MS)
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()
