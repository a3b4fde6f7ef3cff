"""Samples and overlay videos of a page, from clips whose frames contain their number."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.io.masks import pack_mask
from tavlo_pl.report.examples import show_all, write_overlay_videos
from tavlo_pl.report.load import RunResults, read_runs
from tavlo_pl.run.results import SampleMaps
from tests.helpers.clips import read_number, write_numbered
from tests.helpers.results import write_results

NAMES = ["a/00012/single_sound", "b/00030/single_sound"]
SIZE = 8


@pytest.fixture
def bar() -> Any:
    return tqdm(disable=True)


@pytest.fixture
def run(tmp_path: Path) -> RunResults:
    """Two samples: frame 12 of clip a in segment 0, frame 30 of clip b in segment 1; the maps are 0..15 and 16..31."""
    folder = write_results(tmp_path / "run" / "test", dict.fromkeys(NAMES, 0.5))
    for clip in "ab":
        write_numbered(tmp_path / f"{clip}.mp4", size=(128, 192))
    mask = np.zeros((2, SIZE, SIZE), bool)
    mask[0, :2] = mask[1, :, 5] = True
    SampleMaps(
        sample_id=np.array(NAMES),
        showing=np.array([0, 1]),
        segment=np.array([0, 1]),
        next_segment=np.array([0, 1]),
        blend=np.zeros(2, np.float32),
        time_s=np.array([12 / 25, 30 / 25]),
        mask=np.array([pack_mask(each) for each in mask], object),
        size=np.array([SIZE, SIZE]),
        clip=np.array(["a", "b"]),
        path=np.array([str(tmp_path / f"{clip}.mp4") for clip in "ab"]),
        frame_time_s=np.array([[12 / 25, 1.5], [0.5, 30 / 25]]),
        heatmap=np.arange(32, dtype=np.float16).reshape(2, 2, 2, 4),
    ).write(folder / "maps.npz")
    return read_runs([folder])[0]


def test_show_all_reads_frame_mask_and_map(run: RunResults, bar: Any) -> None:
    one, two = show_all([run], NAMES, bar)
    for sample, number in ((one, 12), (two, 30)):
        assert sample.frame is not None
        image = np.asarray(Image.open(io.BytesIO(sample.frame)))
        assert read_number(image) == number
        assert sample.aspect == 1.5
    assert one.truth[:2].all() and one.truth.sum() == 16
    assert two.truth[:, 5].all() and two.truth.sum() == 8
    assert np.array_equal(one.maps["prediction"], np.arange(8).reshape(2, 4))
    assert np.array_equal(two.maps["prediction"], np.arange(24, 32).reshape(2, 4))
    assert "0.50" in one.scores["prediction"]
    assert (one.title, two.lines) == ("a/00012", ["single_sound · sound of b · at 1.20 s"])


def test_show_all_contains_every_run_that_stored_maps(run: RunResults, bar: Any) -> None:
    other = run._replace(name="other", maps=run.maps._replace(heatmap=-run.maps.heatmap))  # type: ignore[union-attr]
    (both,) = show_all([run, other], NAMES[:1], bar)
    assert np.array_equal(both.maps["other"], -both.maps[run.name])
    (late,) = show_all([run._replace(maps=None), other], NAMES[:1], bar)
    assert list(late.maps) == ["other"]
    assert show_all([run._replace(maps=None)], NAMES, bar) == []


def test_overlay_video_has_the_frames_and_audio_of_its_clip(run: RunResults, bar: Any, tmp_path: Path) -> None:
    (video,) = write_overlay_videos([run], {"Best": "a"}, tmp_path / "page", bar)
    assert video.file is not None and video.caption == "Best: a"
    assert np.array_equal(media.frame_times(tmp_path / "page" / video.file), media.frame_times(tmp_path / "a.mp4"))
    assert media.probe(tmp_path / "page" / video.file).has_audio
    one, two = write_overlay_videos([run, run._replace(name="other")], {"Best": "a"}, tmp_path / "pair", bar)
    assert one.file != two.file and two.caption == "Best: a, other"


def test_missing_video_is_reported_and_others_are_written(run: RunResults, bar: Any, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").unlink()
    missing, present = show_all([run], NAMES, bar)
    assert missing.frame is None and present.frame is not None
    assert missing.lines[-1].startswith(f"No frame: {tmp_path / 'a.mp4'}")
    assert np.array_equal(missing.maps["prediction"], np.arange(8).reshape(2, 4))
    videos = write_overlay_videos([run], {"Best": "a", "Worst": "b"}, tmp_path / "page", bar)
    assert videos[0].file is None and f"No overlay video: {tmp_path / 'a.mp4'}" in videos[0].caption
    assert videos[1].file is not None and (tmp_path / "page" / videos[1].file).is_file()
