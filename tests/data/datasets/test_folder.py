import re
from pathlib import Path

import pytest

from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.errors import DatasetNotFoundError


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    (root / "b").mkdir(parents=True)
    (root / "a.mp4").write_text("not opened")
    (root / "b" / "a.mp4").write_text("not opened")
    (root / "notes.txt").write_text("no video")
    (root / ".hidden.mp4").touch()
    return root


def test_a_folder_is_searched(videos: Path) -> None:
    assert VideoFolder(str(videos)).videos() == [("a", videos / "a.mp4"), ("b__a", videos / "b" / "a.mp4")]


def test_a_file_and_a_pattern(videos: Path) -> None:
    assert [name for name, _ in VideoFolder(str(videos / "b" / "a.mp4")).videos()] == ["a"]
    assert [name for name, _ in VideoFolder(str(videos / "**" / "*.mp4")).videos()] == ["a", "b__a"]


def test_relative_paths(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    for root in (".", "*.mp4", "a.mp4"):
        assert VideoFolder(root).videos()[0][0] == "a"


def test_names_that_differ_in_the_suffix_alone_keep_it(videos: Path) -> None:
    (videos / "a.mkv").write_bytes((videos / "a.mp4").read_bytes())
    assert [name for name, _ in VideoFolder(str(videos)).videos()] == ["a.mkv", "a.mp4", "b__a"]
    (videos / "b__a.mp4").write_bytes((videos / "a.mp4").read_bytes())
    names = [name for name, _ in VideoFolder(str(videos)).videos()]
    assert names[:2] == ["a.mkv", "a.mp4"] and len(set(names)) == 4
    assert all(re.fullmatch(r"b__a\.mp4-[0-9a-f]{8}", name) for name in names[2:])


def test_nothing_there(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none", tmp_path / "*.mp4"):
        with pytest.raises(DatasetNotFoundError, match="no video there"):
            VideoFolder(str(root)).videos()
