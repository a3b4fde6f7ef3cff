"""The overlay video has the timing, size and audio of its source; opacity, box, spectrogram strip and poster."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.data import media
from tavlo_pl.predict.overlay_video import scale_of, write_overlay_video, write_poster
from tavlo_pl.predict.sources import Localization
from tavlo_pl.viz.overlay import blend, map_at
from tests.helpers.clips import NTSC, has_flash, write_numbered
from tests.helpers.predict import localizer

FORMATS: dict[str, dict[str, Any]] = {
    "ntsc.mp4": {"rate": NTSC, "x264": "keyint=12:bframes=3"},
    "variable.mp4": {"times_s": np.cumsum([0, *[0.02, 0.11] * 18])},
    "web.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    "old.avi": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le", "sample_rate_hz": 8000},
    "cut.mov": {"video_codec": "prores_ks", "audio_codec": "pcm_s16le", "sample_rate_hz": 96_000},
    "camera.mov": {"video_codec": "mjpeg", "channel_gains": (1.0,) * 6},
    "phone.mp4": {"turn_deg": -90, "size": (96, 64), "video_start_s": 0.2, "audio_start_s": 0.2},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Localization:
    path = tmp_path_factory.mktemp("in") / "clip.mp4"
    write_numbered(path, seconds=2.0, size=(64, 96))
    return localizer(-0.5).localize(path, maps_per_second=8.0)


def clicks_s(path: Path) -> list[float]:
    audio = np.abs(media.read_waveform(path, 0.0, 3.0))
    loud = np.flatnonzero(audio > 0.6 * audio.max())
    bumps = np.split(loud, np.flatnonzero(np.diff(loud) > 800) + 1)
    return [float(bump.mean()) / media.SAMPLE_RATE_HZ for bump in bumps]


@pytest.mark.parametrize("name", FORMATS)
def test_overlay_video_keeps_frames_and_audio_in_sync(name: str, tmp_path: Path) -> None:
    source, overlay = tmp_path / name, tmp_path / "overlay.mp4"
    write_numbered(source, **{"seconds": 2.4, "click_s": (0.5, 1.5), **FORMATS[name]})
    write_overlay_video(localizer(0.9).localize(source), overlay)  # no score reaches the threshold
    assert (media.probe(overlay).width, media.probe(overlay).height) == (
        media.probe(source).width,
        media.probe(source).height,
    )
    times_s = media.frame_times(source)
    assert media.frame_times(overlay) == pytest.approx(times_s, abs=1e-3)
    frames = media.read_clip(overlay, times_s, None, 0.0, 0.0).frames
    flashes = [number for number, frame in enumerate(frames) if has_flash(frame)]
    overlay_click_s = clicks_s(overlay)
    assert len(flashes) == len(overlay_click_s) == 2
    for number, click_s, source_s in zip(flashes, overlay_click_s, clicks_s(source), strict=True):
        frame_s = times_s[number + 1] - times_s[number]
        assert times_s[number] - 0.01 <= click_s <= times_s[number + 1] + 0.01
        assert abs(click_s - source_s) < frame_s


def test_overlay_opacity_is_the_score_above_the_threshold(found: Localization, tmp_path: Path) -> None:
    write_overlay_video(found, tmp_path / "overlay.mp4")
    times_s = [0.02, 0.72, 1.2, 1.9]
    plain = media.read_clip(found.path, times_s, None, 0.0, 0.0)
    drawn = media.read_clip(tmp_path / "overlay.mp4", times_s, None, 0.0, 0.0)
    scale = scale_of(found)
    assert (scale.low, scale.high) == (-0.5, found.heatmap.max())
    for frame, time_s, shown in zip(plain.frames, plain.frame_time_s, drawn.frames, strict=True):
        wanted = blend(frame, scale(map_at(found.heatmap, found.time_s, time_s)))
        assert np.abs(wanted.astype(int) - shown).mean() < 6
    nothing = replace(found, threshold=0.99)
    assert not scale_of(nothing)(found.heatmap).any()
    open_ended = replace(found, threshold=None)
    assert scale_of(open_ended).low == found.heatmap.min()


def test_overlay_video_draws_box_strip_and_cursor(found: Localization, tmp_path: Path) -> None:
    for name, options in (("plain", {}), ("box", {"box": True}), ("strip", {"spectrogram": True})):
        write_overlay_video(found, tmp_path / f"{name}.mp4", **options)
    at_s = [0.5, 1.52]
    plain, box, strip = (
        media.read_clip(tmp_path / f"{name}.mp4", at_s, None, 0.0, 0.0).frames.astype(int)
        for name in ("plain", "box", "strip")
    )
    for number, time_s in enumerate(at_s):
        edges = found.moment_at(time_s).box
        assert edges is not None
        rows, columns = np.nonzero(np.abs(box[number] - plain[number]).sum(-1) > 90)
        drawn = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert drawn == pytest.approx(edges, abs=3)
        changed = np.abs(strip[number] - plain[number]).sum((1, 2)) > 0
        greenest = (strip[number][-24:, :, 1] - strip[number][-24:, :, 0]).mean(0).argmax()
        assert changed[-22:].all()
        assert greenest == pytest.approx(96 * time_s / found.duration_s, abs=3)


def test_poster_shows_the_moment_of_the_highest_score(found: Localization, tmp_path: Path) -> None:
    write_poster(found, tmp_path / "poster.jpg")
    frame = media.read_clip(found.path, [found.best.time_s], None, 0.0, 0.0).frames[0]
    wanted = blend(frame, scale_of(found)(map_at(found.heatmap, found.time_s, found.best.time_s)))
    with Image.open(tmp_path / "poster.jpg") as poster:
        assert np.abs(np.asarray(poster).astype(int) - wanted).mean() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["poster.jpg"]


@pytest.mark.parametrize(("pixel", "size"), [(Fraction(2), (96, 32)), (Fraction(1, 2), (48, 64))])
def test_poster_has_square_pixels(pixel: Fraction, size: tuple[int, int], tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "dv.mp4", seconds=0.4, size=(64, 96), pixel=pixel, click_s=()).path
    write_poster(localizer().localize(path), tmp_path / "poster.jpg")
    with Image.open(tmp_path / "poster.jpg") as poster:
        assert poster.size == size
