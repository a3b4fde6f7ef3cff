"""The page of ``tavlo app`` in a browser."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tavlo_pl.data import media
from tavlo_pl.viz.overlay import Scale, map_at, upsample
from tests.helpers.app import served
from tests.helpers.browser import PATIENCE_MS, chromium
from tests.helpers.clips import write_numbered
from tests.helpers.predict import Slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

READY = "document.getElementById('player').readyState > 1"


def watch(page: "Page") -> tuple[list[str], list[str]]:
    """Addresses that the page requests, and messages on its console."""
    requested: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    return requested, messages


def opacity(page: "Page") -> np.ndarray:
    """(H, W) uint8 opacity of the map over the video."""
    found = page.evaluate(
        "(() => { const c = document.getElementById('heatmap');"
        "return [c.height, c.width, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; })()"
    )
    return np.array(found[2], np.uint8).reshape(found[0], found[1], 4)[..., 3]


def until(page: "Page", condition: str) -> None:
    """Waits for a condition; `wait_for_function` uses eval, which the Content-Security-Policy forbids."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end_s, condition
        page.wait_for_timeout(30)


def drop(page: "Page", file: Path) -> None:
    """Drops a file on the page."""
    page.evaluate(
        "([name, data]) => { const dragged = new DataTransfer();"
        "dragged.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name));"
        "const how = { dataTransfer: dragged, bubbles: true, cancelable: true };"
        "for (const kind of ['dragenter', 'dragover', 'drop'])"
        "document.getElementById('drop').dispatchEvent(new DragEvent(kind, how)); }",
        [file.name, b64encode(file.read_bytes()).decode()],
    )


def seek(page: "Page", time_s: float) -> None:
    page.evaluate(
        "t => new Promise(done => { const f = document.getElementById('player');"
        "f.addEventListener('seeked', () => requestAnimationFrame(done), { once: true }); f.currentTime = t; })",
        time_s,
    )


def set_threshold(page: "Page", threshold: float) -> None:
    page.evaluate(
        "t => { const r = document.getElementById('threshold'); r.value = t; r.dispatchEvent(new Event('input')); }",
        threshold,
    )


@pytest.mark.slow
def test_page_map_equals_the_overlay_and_escapes_names(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    name = "<img src=x onerror=alert(1)> & #1.webm"
    source = write_numbered(
        tmp_path / name, seconds=2.4, size=(64, 96), video_codec="libvpx-vp9", audio_codec="libopus"
    )
    with served(tmp_path / "work") as (address, videos), chromium() as page:
        requested, messages = watch(page)
        page.goto(address)
        assert page.text_content("#note") == "a note <b>"
        page.set_input_files("#file", source.path)
        page.wait_for_selector("#result:not([hidden])")
        until(page, READY)
        assert page.text_content("#result .name") == name
        (video,) = videos.by_key.values()
        found = video.found
        assert found is not None
        for threshold, time_s in ((0.0, 0.55), (0.0, 1.3), (-0.6, 1.0)):
            set_threshold(page, threshold)
            seek(page, time_s)
            shown = opacity(page).astype(int)
            level = Scale(threshold, float(found.heatmap.max()))(map_at(found.heatmap, found.time_s, time_s))
            assert np.abs(shown - 255 * upsample(level, shown.shape)).max() < 4
        # a video that browsers do not play is re-encoded and replaces the first
        old = write_numbered(tmp_path / "b.mov", seconds=0.8, video_codec="prores_ks", audio_codec="pcm_s16le")
        page.set_input_files("#file", old.path)
        until(page, "document.querySelector('#result .name').textContent === 'b.mov'")
        page.wait_for_selector("#result:not([hidden])")
        until(page, READY)
        (video,) = videos.by_key.values()  # the first video is removed
        page.reload()
        page.wait_for_selector("#result:not([hidden])")  # the second video is still there
        (tmp_path / "c.mp4").write_bytes(b"<html>")
        page.set_input_files("#file", tmp_path / "c.mp4")
        page.wait_for_selector("#problem:not([hidden])")
        assert "c.mp4: not a media file" in (page.text_content("#problem") or "")
        assert page.is_hidden("#result")
        # a running localization is cancelled
        videos.localizer.model = Slow()
        page.set_input_files("#file", source.path)
        until(page, "document.getElementById('step').textContent.startsWith('computing the maps')")
        page.click("#cancel")
        page.wait_for_selector("#work", state="hidden")
        page.wait_for_timeout(600)
        assert page.is_hidden("#problem") and not videos.by_key and not list(videos.folder.iterdir())
        assert not messages and all(url.startswith((address, "data:")) for url in requested)


@pytest.mark.slow
def test_page_from_dropped_video_to_downloaded_overlay(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    source = write_numbered(
        tmp_path / "clip.webm", seconds=2.4, size=(96, 96), video_codec="libvpx-vp9", audio_codec="libopus"
    )
    command = [sys.executable, "-m", "tavlo_pl", "app", "--port", "0"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[1]
        with chromium() as page:
            requested, messages = watch(page)
            page.goto(address)
            drop(page, source.path)
            page.wait_for_selector("#result:not([hidden])")
            until(page, READY)
            page.click("#play")
            until(page, "document.getElementById('player').currentTime > 0.4")
            page.click("#play")
            assert page.evaluate("document.getElementById('player').webkitAudioDecodedByteCount") > 0
            shown = []
            for at in ("min", "max"):
                set_threshold(page, float(page.get_attribute("#threshold", at) or 0))
                shown.append(opacity(page))
            assert shown[0].mean() > 20 and not shown[1].any()
            assert "No visible source" in (page.text_content("#visibility") or "")
            page.click("#reset")
            page.check("#box")
            page.click("#make-overlay")
            page.wait_for_selector("#overlay-link:not([hidden])")
            with page.expect_download() as saved:
                page.click("#overlay-link")
            assert saved.value.suggested_filename == "clip.overlay.mp4"
            assert media.probe(Path(saved.value.path())).duration_s == pytest.approx(2.4, abs=0.1)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.set_viewport_size({"width": 390, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.click("#remove")
            page.wait_for_selector("#result", state="hidden")
            assert not messages and all(url.startswith((address, "data:", "blob:")) for url in requested)
        (folder,) = (tmp_path / "tmp").glob("tavlo-app-*")
        assert [path.name for path in folder.iterdir()] == [".lock"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert not list((tmp_path / "tmp").glob("tavlo-app-*"))
    finally:
        server.kill()
        server.wait()
