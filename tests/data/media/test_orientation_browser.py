"""Orientation: frames are read as Chromium shows them."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from tavlo_pl.data.media import read_clip, write_clip
from tests.helpers.browser import chromium, needs_h264
from tests.helpers.display import MATRICES, levels, quadrants, set_matrix

SHOW = """async (source) => {
  document.body.innerHTML = '<video muted></video>';
  const video = document.querySelector('video');
  await new Promise((shown, failed) => {
    video.requestVideoFrameCallback(shown);
    video.onerror = () => failed(new Error(video.error.message));
    video.src = source;
  });
  return [video.videoHeight, video.videoWidth];
}"""


def test_frames_are_those_that_chromium_shows(tmp_path: Path) -> None:
    with chromium() as page:
        needs_h264(page)
        for name, (values, expected) in MATRICES.items():
            path = tmp_path / "phone.mp4"
            write_clip(path, [quadrants()] * 3, 25, np.zeros(1920, np.float32), 16_000)
            set_matrix(path, values)
            source = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
            size = page.evaluate(SHOW, source)
            shown = np.asarray(Image.open(io.BytesIO(page.locator("video").screenshot())).convert("RGB"))
            (frame,) = read_clip(path, [0.0], None, 0.0, 0.0).frames
            assert frame.shape[:2] == tuple(size), name
            found = levels(frame, expected.shape).tolist()
            assert found == levels(shown, expected.shape).tolist() == expected.tolist(), name
