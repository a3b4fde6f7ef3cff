"""Prediction through the real data module and a model whose map is the brightness of the frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from tavlo_pl.callbacks.heatmap_writer import HeatmapWriter, checked_name
from tavlo_pl.data import media
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.errors import ConfigError, MediaError
from tavlo_pl.types import Batch, Prediction
from tavlo_pl.viz.overlay import Scale, blend, map_at
from tests.helpers.clips import write_numbered

CELLS = 4
HEIGHT, WIDTH = 64, 96


def brightness(frames: torch.Tensor) -> torch.Tensor:
    """(…, 3, H, W) uint8 to (…, h, w) in [-1, 1]."""
    grey = frames.float().mean(-3)
    return torch.nn.functional.adaptive_avg_pool2d(grey, CELLS) / 127.5 - 1


class Brightness(LightningModule):
    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        kept: dict[str, Any] = {key: batch[key] for key in Prediction.__annotations__ if key in batch}
        return {"heatmap": brightness(batch["frames"]), **kept}


def predict(root: Path, writer: HeatmapWriter, **options: Any) -> None:
    """Windows of 1 s, 4 segments each; two windows a batch, so that videos are cut by batches."""
    data = ClipDataModule(
        root=str(root), segments=4, duration_s=1.0, image_size=32, batch_size=2, num_workers=0, **options
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[writer],
    )
    trainer.predict(Brightness(), data, return_predictions=False)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos of 2.5 and 1 s: windows at 0, 1 and 1.5 s, and at 0 s."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_numbered(folder / "long.mp4", seconds=2.5, size=(HEIGHT, WIDTH))
    write_numbered(folder / "short.mp4", seconds=1.0, size=(HEIGHT, WIDTH))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_archive_holds_each_frame_time_once_with_the_map_of_that_frame(videos: Path, tmp_path: Path) -> None:
    predict(videos, HeatmapWriter(tmp_path / "out", films=False))
    assert names(tmp_path / "out") == ["long.npz", "short.npz"]
    archive = np.load(tmp_path / "out/long.npz")
    assert sorted(archive) == ["duration_s", "frame_time_s", "heatmap", "size"]
    heatmap, time_s = archive["heatmap"], archive["frame_time_s"]
    assert heatmap.dtype == np.float16
    assert time_s.dtype == np.float64
    assert heatmap.shape == (len(time_s), CELLS, CELLS)
    # Ten quarters of a second; the last window begins half way through the one before and adds two of them.
    assert time_s == pytest.approx(np.arange(10) / 4 + 0.125, abs=0.04)
    assert (np.diff(time_s) > 0.1).all()
    assert archive["size"].tolist() == [HEIGHT, WIDTH]
    assert float(archive["duration_s"]) == pytest.approx(2.5, abs=0.1)
    decoded = media.read_clip(videos / "long.mp4", time_s.tolist(), (32, 32), 0.0, 2.5)
    shown = brightness(torch.from_numpy(decoded.frames).permute(0, 3, 1, 2)).numpy()
    assert heatmap == pytest.approx(shown, abs=1e-3)


def test_the_film_is_the_video_under_its_map_with_the_sound_size_and_times_kept(videos: Path, tmp_path: Path) -> None:
    predict(videos / "long.mp4", HeatmapWriter(tmp_path / "out"))
    assert names(tmp_path / "out") == ["long.mp4", "long.npz"]
    source, film = videos / "long.mp4", tmp_path / "out/long.mp4"
    assert media.frame_times(film) == pytest.approx(media.frame_times(source), abs=1e-4)
    before, after = media.probe(source), media.probe(film)
    assert (after.width, after.height) == (WIDTH, HEIGHT)
    assert after.frame_rate == pytest.approx(before.frame_rate, abs=0.5)
    assert media.read_waveform(film, 0.0, 2.4) == pytest.approx(media.read_waveform(source, 0.0, 2.4), abs=1e-3)

    archive = np.load(tmp_path / "out/long.npz")
    scores = Scale.of(archive["heatmap"])(archive["heatmap"])
    times = [0.0, 0.72, 1.2, 2.2]
    plain = media.read_clip(source, times, None, 0.0, 2.5)
    drawn = media.read_clip(film, times, None, 0.0, 2.5)
    for frame, time_s, shown in zip(plain.frames, plain.frame_time_s, drawn.frames, strict=True):
        wanted = blend(frame, map_at(scores, archive["frame_time_s"], time_s))
        assert np.abs(wanted.astype(int) - shown).mean() < 6
        assert np.abs(frame.astype(int) - shown).mean() > 12


def test_what_is_finished_is_kept_unless_it_is_to_be_overwritten(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(videos, HeatmapWriter(out, films=False))
    (out / "long.npz").write_bytes(b"of an earlier run")
    (out / "short.npz").unlink()
    again = HeatmapWriter(out, films=False)
    assert again.is_finished("long")
    assert not again.is_finished("short")
    assert not HeatmapWriter(out).is_finished("long"), "its film is missing"
    predict(videos, again)
    assert (out / "long.npz").read_bytes() == b"of an earlier run"
    assert np.load(out / "short.npz")["heatmap"].shape == (4, CELLS, CELLS)
    predict(videos, HeatmapWriter(out, films=False, overwrite=True))
    assert len(np.load(out / "long.npz")["heatmap"]) == 10


def test_a_video_that_cannot_be_read_leaves_nothing_and_does_not_harm_the_others(videos: Path, tmp_path: Path) -> None:
    (videos / "broken.mp4").write_bytes(b"<html>not found</html>")
    write_numbered(videos / "mute.mp4", seconds=1.0, audio=False)
    predict(videos, HeatmapWriter(tmp_path / "out", films=False), on_bad_clip="skip")
    assert names(tmp_path / "out") == ["long.npz", "short.npz"]


@pytest.mark.parametrize("on_bad_clip", ["error", "skip"])
def test_a_film_that_breaks_half_way_costs_the_run_only_if_bad_clips_do(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_bad_clip: str
) -> None:
    def damaged(source: Path, *_: object) -> None:
        raise MediaError(f"{source}: damaged")

    monkeypatch.setattr(media, "map_frames", damaged)
    if on_bad_clip == "error":
        with pytest.raises(MediaError, match=r"long\.mp4: damaged"):
            predict(videos, HeatmapWriter(tmp_path / "out"))
    else:
        predict(videos, HeatmapWriter(tmp_path / "out"), on_bad_clip="skip")
        assert names(tmp_path / "out") == ["long.npz", "short.npz"]


def test_films_never_replace_the_videos_they_are_made_of(videos: Path) -> None:
    before = (videos / "short.mp4").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"long\.mp4 is not a film of tavlo"):
            predict(videos, HeatmapWriter(videos, overwrite=overwrite))
    predict(videos, HeatmapWriter(videos, films=False))
    with pytest.raises(ConfigError, match="not a film of tavlo"):
        predict(videos / "short.mp4", HeatmapWriter(videos, overwrite=True))
    assert (videos / "short.mp4").read_bytes() == before


@pytest.mark.parametrize("name", ["", "a/b", "..\\b", "/etc/passwd", "a\nb", "a\0b", "x" * 300])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a file name"):
        checked_name(name)


@pytest.mark.parametrize("name", ["-abc_00012", "l_7B1wnTNtA_00020", "Was ist das?", "über uns", "a.b"])
def test_names_of_real_videos_are_taken(name: str) -> None:
    assert checked_name(name) == name


def test_a_film_of_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    source = tmp_path / "in/vfr.mp4"
    source.parent.mkdir()
    write_numbered(source, times_s=[0.0, 0.04, 0.2, 0.24, 0.5, 0.9, 0.94], seconds=1.0, rate=Fraction(25))
    predict(source, HeatmapWriter(tmp_path / "out"))
    assert media.frame_times(tmp_path / "out/vfr.mp4") == pytest.approx(media.frame_times(source), abs=1e-4)
