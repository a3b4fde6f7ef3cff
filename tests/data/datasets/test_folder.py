import re
from pathlib import Path

import pytest

from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.errors import DatasetNotFoundError
from tests.helpers.faults import needs_two_cases


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


def test_a_video_that_is_given_twice_is_read_once(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    for roots in (["a.mp4", "./a.mp4"], ["a.mp4", "b/../a.mp4"], ["a.mp4", str(videos / "a.mp4"), "*.mp4"]):
        assert [name for name, _ in VideoFolder(roots).videos()] == ["a"]
    assert [name for name, _ in VideoFolder([".", "b", "a.mp4"]).videos()] == ["a", "b__a"]


def test_files_of_equal_names_are_named_after_their_folders(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    (videos / "c").mkdir()
    (videos / "c" / "A.MP4").write_text("not opened")
    assert [name for name, _ in VideoFolder(["b/a.mp4", "c/A.MP4"]).videos()] == ["b__a", "c__A"]


def test_names_that_differ_in_case_alone_are_kept_apart(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    (videos / "A.mp4").write_text("not opened")
    needs_two_cases(videos)
    folder = VideoFolder(["a.mp4", "A.mp4"])
    names = [name for name, _ in folder.videos()]
    assert len({name.casefold() for name in names}) == 2
    assert len(folder.notes()) == 2 and all(note.startswith("Name: ") for note in folder.notes())


def test_an_output_folder_below_the_root_is_left_out(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos.parent)
    (videos / "out").mkdir()
    (videos / "out" / "a.mp4").write_text("not opened")
    (videos.parent / "link").symlink_to(videos / "out")
    for root in ("videos", "videos/**/*.mp4", str(videos)):
        for out in (Path("videos/out"), videos / "out", Path("link"), Path("videos/b/../out")):
            assert [name for name, _ in VideoFolder(root, out).videos()] == ["a", "b__a"]
    assert [name for name, _ in VideoFolder(["videos", "videos/b"], Path("videos/out")).videos()] == ["a", "b__a"]
