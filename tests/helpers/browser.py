"""A headless Chromium that is on this machine; tests that need it skip without it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_MS = 180_000
"""A page takes a second; beside other work on all processors it was seen to take one minute."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextmanager
def chromium() -> "Iterator[Page]":
    """An empty page of it; skips the test where there is no browser, or nothing to drive it."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive a browser")
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs Chromium on PATH")
    # Its sandbox refuses to run for root, which containers often are.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with driver.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=arguments, timeout=PATIENCE_MS)
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()
