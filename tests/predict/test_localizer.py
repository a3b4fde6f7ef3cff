"""Heatmaps of whole videos: each belongs to the frame and the audio of its time, in coordinates of the frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.errors import MediaError, NoAudioError, NoVideoError
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.windows import WindowPlan
from tests.helpers.clips import write_numbered
from tests.helpers.predict import SPEC, Brightness, brightness, localizer

FORMATS: dict[str, dict[str, Any]] = {
    "phone.mp4": {"turn_deg": -90, "size": (96, 64)},
    "web.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    "old.avi": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le", "sample_rate_hz": 8000},
    "cut.mov": {"video_codec": "prores_ks", "audio_codec": "pcm_s16le", "sample_rate_hz": 96_000},
    "camera.mov": {"video_codec": "mjpeg", "channel_gains": (1.0,) * 6},
    "variable.mp4": {"times_s": np.cumsum([0, *[0.02, 0.11] * 18])},
}


@pytest.mark.parametrize("name", FORMATS)
def test_localize_reads_the_frame_at_each_time(name: str, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / name, **{"seconds": 2.4, **FORMATS[name]}).path
    found = localizer().localize(path, maps_per_second=8)
    assert found.size == FORMATS[name].get("size", (64, 96))
    assert found.heatmap.dtype == np.float32 and found.heatmap.shape == (len(found.time_s), 4, 4)
    assert found.time_s == pytest.approx(0.125 + np.arange(len(found.time_s)) / 8)
    assert found.duration_s - 0.26 < found.time_s[-1] < found.duration_s
    frames = media.read_clip(path, found.time_s, (32, 32), 0.0, 0.0).frames
    assert found.heatmap == pytest.approx(brightness(torch.from_numpy(frames.copy()).permute(0, 3, 1, 2)), abs=1e-3)


def test_localize_reads_the_audio_at_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "clip.mp4", seconds=7.0, click_s=(3.6,)).path

    class Loudness(Brightness):
        def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
            loudness = spectrogram[:, 0].unflatten(-1, (4, -1)).mean((1, 3))
            return loudness[..., None, None].expand(-1, -1, 4, 4)

    one = Localizer(Loudness(), SPEC, None, torch.device("cpu"))
    for rate in (None, 12.0):
        found = one.localize(path, maps_per_second=rate)
        loudest_s = float(found.time_s[found.heatmap[:, 0, 0].argmax()])
        assert loudest_s == pytest.approx(3.6, abs=0.13)
    # the result does not depend on the batch size
    whole = one.localize(path, maps_per_second=12.0)
    monkeypatch.setattr("tavlo_pl.predict.localizer.FRAMES_PER_BATCH", 4)
    monkeypatch.setattr("tavlo_pl.predict.frame_reader.READ_AHEAD_S", 0.5)
    assert one.localize(path, maps_per_second=12.0).heatmap == pytest.approx(whole.heatmap, abs=1e-3)


def test_localize_all_batches_windows_of_several_videos(tmp_path: Path) -> None:
    lengths_s = {"a": 0.8, "b": 2.4, "broken": 2.4, "c": 0.8, "d": 3.4}
    paths = {
        name: write_numbered(tmp_path / f"{name}.mp4", seconds=seconds, click_s=()).path
        for name, seconds in lengths_s.items()
    }
    write_numbered(paths["broken"], seconds=2.4, audio=False)
    batches: list[int] = []

    class Counting(Brightness):
        def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
            batches.append(len(frames))
            return brightness(frames)

    one = Localizer(Counting(), SPEC, 0.0, torch.device("cpu"))
    alone = {name: one.localize(path).heatmap for name, path in paths.items() if name != "broken"}
    batches.clear()
    found = dict(one.localize_all(paths.items()))
    assert list(found) == ["broken", *alone]  # reported when it was opened, before the batch was full
    assert isinstance(found.pop("broken"), MediaError)
    assert batches == [10, 2]  # 1 + 4 + 1 + 6 windows
    for name, maps in alone.items():
        assert found[name].heatmap == pytest.approx(maps)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(32, 96), (96, 32)])
def test_keep_aspect_crops_heatmaps_to_the_frame(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    image = np.zeros((*size, 3), np.uint8)
    image[: size[0] // 2, : size[1] // 2] = 255
    media.write_clip(path, [image] * 25, 25, np.zeros(16_000, np.float32), 16_000)
    shapes = []

    class Square(Brightness):
        def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
            shapes.append(frames.shape[-2:])
            return torch.nn.functional.avg_pool2d(frames.float().mean(2), 2) / 127.5 - 1

    one = Localizer(Square(), SPEC, 0.0, torch.device("cpu"))
    squashed, kept = (one.localize(path, aspect=aspect) for aspect in ("squash", "keep"))
    assert set(shapes) == {(32, 32)}
    for found in (squashed, kept):
        assert found.heatmap.shape[1:] == (16, 16)
        assert found.best.box == pytest.approx((0, 0, size[1] / 2, size[0] / 2), abs=4)
    assert np.abs(squashed.heatmap - kept.heatmap).mean() < 0.1


def test_keep_aspect_uses_the_pixel_aspect_ratio(tmp_path: Path) -> None:
    rows: list[int] = []

    class Rows(Brightness):
        def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
            bright = frames.amax((0, 1, 2, 4)).nonzero()
            rows.append(int(bright.max() - bright.min()))
            return super().localize(frames, spectrogram)

    for pixel in (None, Fraction(2)):
        name = tmp_path / f"{pixel}.mp4"
        path = write_numbered(name, seconds=0.4, size=(32, 48), pixel=pixel, click_s=()).path
        Localizer(Rows(), SPEC, 0.0, torch.device("cpu")).localize(path, aspect="keep")
    assert rows[1] == pytest.approx(rows[0] / 2, abs=1)


def test_localize_reads_short_videos_and_rejects_missing_streams(tmp_path: Path) -> None:
    short = write_numbered(tmp_path / "short.mp4", seconds=0.4, click_s=()).path
    assert len(localizer().localize(short).time_s) == 2
    with pytest.raises(NoAudioError, match=r"mute\.mp4: no audio stream"):
        localizer().localize(write_numbered(tmp_path / "mute.mp4", seconds=0.4, audio=False).path)
    with pytest.raises(NoVideoError, match=r"blind\.mp4: no video stream"):
        localizer().localize(write_numbered(tmp_path / "blind.mp4", seconds=0.4, video=False, click_s=()).path)


@pytest.mark.parametrize("rate", [None, 12.0])
def test_each_frame_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float | None) -> None:
    path = write_numbered(tmp_path / "clip.mp4", seconds=5.0, click_s=()).path
    plan = WindowPlan.of(media.probe(path).duration_s, SPEC.segments, SPEC.duration_s, rate)
    frames = {k for start in plan.starts for k in plan.window_indices(start).tolist()}
    for per_batch in (4, 12):
        monkeypatch.setattr("tavlo_pl.predict.localizer.FRAMES_PER_BATCH", per_batch)
        model = Brightness()
        found = Localizer(model, SPEC, None, torch.device("cpu")).localize(path, maps_per_second=rate)
        assert model.windows == len(plan.starts) and model.frames == len(frames)
        assert len(found.heatmap) == plan.length
