"""Names of files, and which videos of a folder are finished."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.avatar_folder import AvatarPredictionFolder
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions, checked_name
from tavlo_pl.predict.source_file import describe_source

MADE_WITH = {"checkpoint": "one"}


def write_files(folder: PredictionFolder, video: Path, **changed: object) -> None:
    """Writes the files of the video ``a``; poster and overlay video are one byte."""
    *others, sources = folder.files("a")
    for path in others:
        path.write_bytes(b"1")
    np.savez(others[0], frame_time_s=np.zeros(3), heatmap=np.zeros((3, 7, 7)))
    content = {"made_with": folder.made_with, "source": describe_source(video)}
    sources.write_text(json.dumps(content | changed))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A file in the place of a video."""
    path = tmp_path / "in" / "a.mkv"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 8192)
    return path


def test_files_depend_on_the_options(tmp_path: Path) -> None:
    names = [path.name for path in PredictionFolder(tmp_path, PredictOptions(), MADE_WITH).files("a")]
    assert names == ["a.npz", "a.jpg", "a.mp4", "a.sources.json"]
    without = PredictionFolder(tmp_path, PredictOptions(overlay_videos=False), MADE_WITH)
    assert [path.name for path in without.files("a")] == ["a.npz", "a.jpg", "a.sources.json"]


def test_is_finished_compares_checkpoint_and_options(tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(box=True), MADE_WITH)
    assert not folder.is_finished("a", video)
    write_files(folder, video)
    assert folder.is_finished("a", video)
    assert PredictionFolder(tmp_path, PredictOptions(overlay_videos=False), MADE_WITH).is_finished("a", video)
    assert not PredictionFolder(tmp_path, PredictOptions(), MADE_WITH).is_finished("a", video)
    assert not PredictionFolder(tmp_path, PredictOptions(box=True), {"checkpoint": "two"}).is_finished("a", video)


def test_is_finished_compares_size_time_and_content(tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, video)
    before, content = video.stat(), bytearray(video.read_bytes())
    video.write_bytes(content + b"1")
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not folder.is_finished("a", video), "another size"
    video.write_bytes(content)
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert not folder.is_finished("a", video), "another time"
    content[-1] ^= 1
    video.write_bytes(content)
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not folder.is_finished("a", video), "another content"
    video.unlink()
    assert not folder.is_finished("a", video), "gone"


@pytest.mark.parametrize("left", [0, 100, -1])
def test_cut_heatmaps_are_written_again(left: int, tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, video)
    archive = folder.file("a", ".npz")
    archive.write_bytes(archive.read_bytes()[:left])
    assert not folder.is_finished("a", video)
    np.savez(archive, other=np.zeros(3))
    assert not folder.is_finished("a", video)


def test_empty_overlay_video_is_written_again(tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, video)
    folder.file("a", ".mp4").write_bytes(b"")
    assert not folder.is_finished("a", video)


def test_cut_heatmaps_of_the_avatar_layout_are_written_again(tmp_path: Path, video: Path) -> None:
    folder = AvatarPredictionFolder(tmp_path, PredictOptions(layout="avatar"), MADE_WITH)
    maps, mark = folder.files("a")
    for path in (maps, mark):
        path.parent.mkdir()
    np.save(maps, np.zeros((3, 7, 7), np.float32))
    mark.write_text(json.dumps({"made_with": folder.made_with, "source": describe_source(video)}))
    assert folder.is_finished("a", video)
    maps.write_bytes(maps.read_bytes()[:200])
    assert not folder.is_finished("a", video)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"made_with": 3}', "[" * 100_000])
def test_unreadable_sources_are_written_again(text: str, tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, video)
    folder.files("a")[-1].write_text(text)
    assert not folder.is_finished("a", video)


def test_is_finished_ignores_results_of_earlier_versions(tmp_path: Path, video: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, video, source=None)
    assert not folder.is_finished("a", video)


@pytest.mark.parametrize("name", ["", "a/b", "..\\b", "/etc/passwd", "a\nb", "a\0b", "x" * 300])
def test_checked_name_rejects_what_is_no_file_name(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a file name"):
        checked_name(name)


@pytest.mark.parametrize("name", ["-abc_00012", "l_7B1wnTNtA_00020", "Was ist das?", "über uns", "a.b"])
def test_checked_name_accepts_names_of_real_videos(name: str) -> None:
    assert checked_name(name) == name
