"""The page of a folder of predictions: order, escaping, playback, small screens."""

import json
from pathlib import Path
from typing import Any

import pytest

from tavlo_pl.predict.folder import PredictionFolder, PredictOptions
from tavlo_pl.predict.gallery import (
    CURVE_HEIGHT,
    CURVE_MARGIN,
    CURVE_WIDTH,
    HEARD_SHOWN,
    clock,
    heard_spans,
    visible_status,
    write_gallery,
)
from tavlo_pl.predict.run import predict_all
from tests.helpers.browser import chromium
from tests.helpers.clips import write_numbered
from tests.helpers.predict import localizer

HOSTILE = "a <b> & \"c\" 'd' #1 100%"


def write(folder: Path, name: str, score: float, **changed: Any) -> None:
    facts = {
        "sample_id": name, "video": f"{name}.mp4", "duration_s": 2.0, "width": 96, "height": 64, "threshold": 0.2,
        "score": score, "best_s": 1.25, "visible_share": 0.5, "made_with": {},
        "steps": [{"time_s": 0.5, "score": 0.1}, {"time_s": 1.25, "score": score}],
    }  # fmt: skip
    (folder / f"{name}.sources.json").write_text(json.dumps(facts | changed))
    for suffix in (".jpg", ".npz"):
        (folder / f"{name}{suffix}").write_bytes(b"")


def test_gallery_sorts_by_score_and_escapes_names(tmp_path: Path) -> None:
    write(tmp_path, HOSTILE, 0.3, visible_share=0.0)
    write(tmp_path, "loud", 0.9)
    text = write_gallery(tmp_path).read_text()
    assert text.index("loud") < text.index("a &lt;b&gt; &amp; &#34;c&#34; &#39;d&#39;")
    assert "<b>" not in text and "nothing visible matches the sound" in text and "visible 50% of the time" in text
    assert "http:" not in text and "https:" not in text
    assert "has no threshold" not in text
    write(tmp_path, "old", 0.1, threshold=None, visible_share=None)
    assert "has no threshold" in write_gallery(tmp_path).read_text()


@pytest.mark.parametrize(("score", "top"), [(0.3, 0.3), (0.15, 0.2), (0.9, 0.9)])
def test_curve_has_the_height_of_the_highest_score(score: float, top: float, tmp_path: Path) -> None:
    write(tmp_path, "a", score)
    text = write_gallery(tmp_path).read_text()
    inner = CURVE_HEIGHT - 2 * CURVE_MARGIN
    low, high = (f"{CURVE_HEIGHT - CURVE_MARGIN - inner * each / top:.1f}" for each in (0.1, score))
    assert f'points="{CURVE_WIDTH / 4:.1f},{low} {CURVE_WIDTH * 1.25 / 2:.1f},{high}"' in text
    assert f'y1="{CURVE_HEIGHT - CURVE_MARGIN - inner * 0.2 / top:.1f}"' in text


def test_gallery_names_what_is_heard(tmp_path: Path) -> None:
    heard = [("Speech", True), ("Speech", True), ("Dog & cat", False), ("Dog & cat", True)]
    steps = [
        {"time_s": n + 0.5, "score": 0.1, "visible": visible, "sounds": [[name, 0.9], ["Music", 0.1]]}
        for n, (name, visible) in enumerate(heard)
    ]
    spans = heard_spans(steps, 4.0)
    assert [span[:4] for span in spans] == [
        (0, 2, "Speech", True), (2, 3, "Dog & cat", False), (3, 4, "Dog & cat", True),
    ]  # fmt: skip
    assert [span.is_unseen for span in spans] == [False, True, False]
    assert [span.others for span in spans] == [("Music",)] * 3
    quiet = [{**step, "visible": False, "sounds": [["Silence", 1.0], ["Music", 0.0]]} for step in steps]
    assert [(span.is_unseen, span.others) for span in heard_spans(quiet, 4.0)] == [(False, ())]
    assert visible_status(quiet, 0.0) == "nothing is heard"
    assert visible_status(steps, 0.0) == "nothing visible matches the sound"
    assert heard_spans([{**step, "sounds": []} for step in steps], 4.0) == []
    many = [{"time_s": n, "visible": None, "sounds": [[str(n), 0.9]]} for n in range(2 * HEARD_SHOWN)]
    assert len(heard_spans(many, 4 * HEARD_SHOWN)) == HEARD_SHOWN
    write(tmp_path, "a", 0.9, duration_s=4.0, steps=steps)
    text = " ".join(write_gallery(tmp_path).read_text().split())
    assert 'data-at="2.0">0:02.0</button> Dog &amp; cat; also Music<em> · nothing visible matches</em>' in text
    assert "</button> Speech; also Music</li>" in text


@pytest.mark.parametrize("damage", ["[]", '{"score": "x"}', '{"score": 1', "no heatmaps"])
def test_gallery_leaves_out_what_is_not_complete(damage: str, tmp_path: Path) -> None:
    for name, score in (("whole", 0.9), ("half", 0.3)):
        write(tmp_path, name, score)
    if damage == "no heatmaps":
        (tmp_path / "half.npz").unlink()
    else:
        (tmp_path / "half.sources.json").write_text(damage)
    text = write_gallery(tmp_path).read_text()
    assert "whole" in text and "half" not in text


def test_gallery_works_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, seconds in ((HOSTILE, 1.0), ("long", 2.0)):
        write_numbered(tmp_path / "in" / f"{name}.mp4", seconds=seconds, click_s=())
    videos = [(name, tmp_path / "in" / f"{name}.mp4") for name in (HOSTILE, "long")]
    predict_all(videos, localizer, PredictionFolder(tmp_path / "out", PredictOptions(), {}), progress=False)
    with chromium() as page:
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto((tmp_path / "out" / "index.html").as_uri())
        names = "[...document.querySelectorAll('.card h2')].map(e => e.textContent)"
        assert set(page.evaluate(names)) == {HOSTILE, "long"}
        page.select_option("#order", "length")
        assert page.evaluate(names) == ["long", HOSTILE]
        page.select_option("#order", "name")
        assert page.evaluate(names) == [HOSTILE, "long"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.evaluate(
            "document.querySelectorAll('video').forEach(v => { v.muted = true; v.preload = 'auto'; v.load(); })"
        )
        page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.error || v.readyState > 0)")
        known = page.evaluate("[...document.querySelectorAll('video')].map(v => v.error ? v.error.code : 0)")
        # A Chromium without licensed decoders loads H.264 and refuses it (4), so the address is right in both cases.
        assert set(known) <= {0, 4}
        assert all(url.startswith(("file:", "data:")) for url in requested)
        assert any(url.endswith(".mp4") and "%23" in url for url in requested)


@pytest.mark.parametrize(
    ("seconds", "words"), [(7.54, "0:07.5"), (59.97, "0:59"), (60.0, "1:00"), (723.0, "12:03"), (3723.9, "1:02:03")]
)
def test_clock_formats_seconds(seconds: float, words: str) -> None:
    assert clock(seconds) == words
