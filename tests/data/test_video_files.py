"""Which files below a folder are videos, and what is said about the others."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tavlo_pl.data.audit.files import read_listing
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.index.probe import find_files
from tavlo_pl.data.video_files import LeftOut, video_files
from tests.helpers.clips import write_numbered
from tests.helpers.trees import instance, write_avatar

NAMES = ["00001.MTS", "VTS_01_1.VOB", "a.m2ts", "b.mxf", "c.f4v", "sub/d.WEBM"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with videos of many suffixes, one without suffix, a linked folder, and files that are no videos."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(b"not opened")
    write_numbered(tmp_path / "x.mp4", seconds=0.2)
    (tmp_path / "x.mp4").rename(folder / "card 1")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "e.mp4").write_bytes(b"not opened")
    (folder / "link").symlink_to(tmp_path / "store")
    (folder / ".trash").mkdir()
    (folder / "gone.mp4").symlink_to(tmp_path / "nothing")
    for name in ("._a.mp4", "f.mp4.part", "notes.txt", "photo.HEIC", ".trash/g.mp4"):
        (folder / name).write_bytes(b"\0\0\0\x20ftypheic")
    return folder


def test_all_commands_find_the_same_videos(root: Path) -> None:
    expected = sorted(root / name for name in [*NAMES, "card 1", "link/e.mp4"])
    assert video_files(root) == expected
    assert sorted(path for _, path in VideoFolder(str(root)).videos()) == expected
    assert [Path(file.path) for file in find_files([str(root)], LeftOut())] == expected
    assert read_listing(root, "train").names == tuple(path.stem for path in expected)
    clips = VGGSound(str(root), split=None).clips()
    assert sorted(clip.path for clip in clips) == expected


def test_other_files_are_counted_by_reason(root: Path) -> None:
    folder = VideoFolder(str(root))
    folder.videos()
    assert folder.left_out.reasons == {
        "no video": 2,
        "hidden": 1,
        "hidden folder": 1,
        "unfinished download": 1,
        "broken link": 1,
    }
    assert str(folder.left_out).startswith("6 left out: 2 no video (.")
    assert str(LeftOut()) == ""


def test_pattern_and_list_use_the_same_rule(root: Path, tmp_path: Path) -> None:
    pattern = VideoFolder(str(root / "*"))
    assert {name for name, _ in pattern.videos()} == {"00001", "VTS_01_1", "a", "b", "c", "card 1"}
    assert pattern.left_out.reasons["no video"] == 2
    listed = VideoFolder([str(root / "b.mxf"), str(tmp_path / "store"), str(root / "b.mxf")])
    assert [name for name, _ in listed.videos()] == ["root__b", "store__e"]
    named = VideoFolder(str(root / "notes.txt"))
    assert named.videos() == [("notes", root / "notes.txt")], "a file that is named is taken, whatever it is"


@pytest.mark.parametrize(
    ("options", "names"), [({"spectrogram": False, "box": False}, ["b"]), ({}, ["a", "b"])], ids=["overlay", "none"]
)
def test_overlay_videos_are_left_out(options: dict[str, bool], names: list[str], tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "maps.npz"):
        (tmp_path / name).touch()
    (tmp_path / "a.sources.json").write_text(json.dumps({"made_with": {"checkpoint": "x", **options}}))
    (tmp_path / "b.sources.json").write_text("of another program")
    assert [name for name, _ in VideoFolder(str(tmp_path)).videos()] == names


def test_output_folder_below_the_root_is_left_out(root: Path) -> None:
    out = root / "maps"
    out.mkdir()
    (out / "a.mp4").touch()
    (root / "again").symlink_to(out)
    found = VideoFolder(str(root), out)
    assert not [path for _, path in found.videos() if path.is_relative_to(out) or path.is_relative_to(root / "again")]
    assert "in the output folder" not in str(found.left_out)
    assert [name for name, _ in VideoFolder(str(out), out).videos()] == ["a"], "unless it is the root"


def test_unreadable_folders_are_counted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.scandir

    def scandir(path: str) -> Any:
        if Path(path) == root / "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root reads all folders
    folder = VideoFolder(str(root))
    folder.videos()
    assert folder.left_out.reasons["unreadable folder"] == 1


def test_avatar_takes_videos_of_any_suffix(tmp_path: Path) -> None:
    write_avatar(tmp_path, {"aaaaaaaaaaa_00001": {"00000": [instance()]}}, empty=True)
    (tmp_path / "video" / "aaaaaaaaaaa_00001.mp4").rename(tmp_path / "video" / "aaaaaaaaaaa_00001.MKV")
    (clip,) = AVATAR(str(tmp_path)).clips()
    assert clip.path.name == "aaaaaaaaaaa_00001.MKV"


def test_names_that_are_not_utf_8_fit_no_list(tmp_path: Path) -> None:
    for name in (b"a\xe9_000001.mp4", b"b_000002.mp4"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
    left_out = LeftOut()
    assert [path.name for path in video_files(tmp_path, left_out)] == ["b_000002.mp4"]
    assert left_out.reasons == {"name not in UTF-8": 1}
