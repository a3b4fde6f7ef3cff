"""Maps of whole videos: the right frame and the right sound for each, in the picture's own coordinates."""

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
from tests.helpers.clips import write_numbered
from tests.helpers.predict import SPEC, Brightness, brightness, localizer

FORMS: dict[str, dict[str, Any]] = {
    "phone.mp4": {"turn_deg": -90, "size": (96, 64)},
    "web.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    "old.avi": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le", "sample_rate_hz": 8000},
    "cut.mov": {"video_codec": "prores_ks", "audio_codec": "pcm_s16le", "sample_rate_hz": 96_000},
    "camera.mov": {"video_codec": "mjpeg", "channel_gains": (1.0,) * 6},
    "variable.mp4": {"times_s": np.cumsum([0, *[0.02, 0.11] * 18])},
}


@pytest.mark.parametrize("name", FORMS)
def test_each_map_is_of_the_frame_shown_at_its_moment(name: str, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / name, **{"seconds": 2.4, **FORMS[name]}).path
    found = localizer().localize(path, maps_per_second=8)
    assert found.size == FORMS[name].get("size", (64, 96))
    assert found.heatmap.dtype == np.float16 and found.heatmap.shape == (len(found.time_s), 4, 4)
    assert found.time_s == pytest.approx(0.125 + np.arange(len(found.time_s)) / 8)
    assert found.duration_s - 0.26 < found.time_s[-1] < found.duration_s
    frames = media.read_clip(path, found.time_s, (32, 32), 0.0, 0.0).frames
    assert found.heatmap == pytest.approx(brightness(torch.from_numpy(frames.copy()).permute(0, 3, 1, 2)), abs=1e-3)


def test_each_window_hears_its_own_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "clip.mp4", seconds=7.0, click_s=(3.6,)).path
    loud: dict[float, int] = {}

    class Ears(Brightness):
        def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
            peaks = spectrogram[:, 0].unflatten(-1, (4, -1)).mean((1, 3))
            return peaks[..., None, None].expand(-1, -1, 4, 4)

    one = Localizer(Ears(), SPEC, None, torch.device("cpu"))
    for rate in (None, 12.0):
        found = one.localize(path, maps_per_second=rate)
        loud[rate or 0] = float(found.time_s[found.heatmap[:, 0, 0].argmax()])
        assert loud[rate or 0] == pytest.approx(3.6, abs=0.13)
    # windows are read a few at a time: one by one gives the same
    whole = one.localize(path, maps_per_second=12.0)
    monkeypatch.setattr("tavlo_pl.predict.localizer.FRAMES_AT_ONCE", 4)
    monkeypatch.setattr("tavlo_pl.predict.localizer.READ_AHEAD_S", 0.5)
    assert one.localize(path, maps_per_second=12.0).heatmap == pytest.approx(whole.heatmap, abs=1e-3)


def test_windows_of_several_videos_pass_through_the_model_together(tmp_path: Path) -> None:
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
    assert list(found) == ["broken", *alone]  # told when it was met, before the batch was full
    assert isinstance(found.pop("broken"), MediaError)
    assert batches == [10, 2]  # 1 + 4 + 1 + 6 windows
    for name, maps in alone.items():
        assert found[name].heatmap == pytest.approx(maps)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(32, 96), (96, 32)])
def test_a_kept_aspect_is_mapped_back_to_the_picture(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    picture = np.zeros((*size, 3), np.uint8)
    picture[: size[0] // 2, : size[1] // 2] = 255
    media.write_clip(path, [picture] * 25, 25, np.zeros(16_000, np.float32), 16_000)
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


def test_a_kept_aspect_is_that_of_the_picture_as_players_show_it(tmp_path: Path) -> None:
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


def test_a_video_shorter_than_a_window_and_one_without_sound_or_picture(tmp_path: Path) -> None:
    short = write_numbered(tmp_path / "short.mp4", seconds=0.4, click_s=()).path
    assert len(localizer().localize(short).time_s) == 2
    with pytest.raises(NoAudioError, match=r"mute\.mp4: no audio stream"):
        localizer().localize(write_numbered(tmp_path / "mute.mp4", seconds=0.4, audio=False).path)
    with pytest.raises(NoVideoError, match=r"blind\.mp4: no video stream"):
        localizer().localize(write_numbered(tmp_path / "blind.mp4", seconds=0.4, video=False, click_s=()).path)
