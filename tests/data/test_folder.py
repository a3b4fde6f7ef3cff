from pathlib import Path

import pytest

from tavlo_pl.data.folder import Folder
from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tests.helpers.clips import write_numbered


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    (root / "b").mkdir(parents=True)
    write_numbered(root / "a.mp4", seconds=1.0)
    write_numbered(root / "b" / "a.mp4", seconds=3.4)
    (root / "notes.txt").write_text("no video")
    (root / ".hidden.mp4").touch()
    return root


def test_a_folder_is_searched_and_long_videos_are_covered_by_windows(videos: Path) -> None:
    clips = Folder(str(videos), duration_s=2.0).clips()
    assert [clip.sample_id for clip in clips] == ["a", "b__a", "b__a"]
    assert [clip.window for clip in clips] == [(0, 1), (0, 2), (1, 2)]
    assert clips[0].duration_s == pytest.approx(1.0, abs=0.1)
    assert clips[2].duration_s == pytest.approx(3.4, abs=0.1)
    assert clips[2].start_s == pytest.approx(clips[2].duration_s - 2.0)


def test_a_file_and_a_pattern(videos: Path) -> None:
    assert [clip.sample_id for clip in Folder(str(videos / "b" / "a.mp4"), 5.0).clips()] == ["a"]
    assert [clip.sample_id for clip in Folder(str(videos / "**" / "*.mp4"), 5.0).clips()] == ["a", "b__a"]


def test_relative_paths(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    for root in (".", "*.mp4", "a.mp4"):
        assert Folder(root, 5.0).clips()[0].sample_id == "a"


def test_names_that_differ_in_the_suffix_alone_keep_it(videos: Path) -> None:
    (videos / "a.mkv").write_bytes((videos / "a.mp4").read_bytes())
    assert [clip.sample_id for clip in Folder(str(videos), 5.0).clips()] == ["a.mkv", "a.mp4", "b__a"]
    (videos / "b__a.mp4").write_bytes((videos / "a.mp4").read_bytes())
    with pytest.raises(ConfigError, match=r"would both be called 'b__a\.mp4'"):
        Folder(str(videos), 5.0).clips()


def test_an_unreadable_video_keeps_its_place(videos: Path) -> None:
    (videos / "page.mp4").write_text("<html>")
    last = Folder(str(videos), 5.0).clips()[-1]
    assert (last.sample_id, last.window, last.duration_s) == ("page", (0, 1), None)


def test_nothing_there(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none", tmp_path / "*.mp4"):
        with pytest.raises(DatasetNotFoundError, match="no video there"):
            Folder(str(root), 5.0).clips()
