"""Files below a folder: by links too, each once."""

from pathlib import Path

from tavlo_pl.data.video_files import videos_below
from tavlo_pl.io.walk import walk_files


def test_unreadable_and_hidden_folders_are_reported(tmp_path: Path) -> None:
    left_out: list[tuple[str, str]] = []
    for root in (tmp_path, tmp_path / "gone"):
        (tmp_path / ".cache").mkdir(exist_ok=True)
        assert not list(walk_files(root, lambda path, reason: left_out.append((path.name, reason))))
    assert left_out == [(".cache", "hidden folder"), ("gone", "unreadable folder")]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "b", elsewhere):
        folder.mkdir(parents=True)
    (root / "b" / "loop").symlink_to(root)
    (root / "c").symlink_to(elsewhere)
    (root / "d").symlink_to(elsewhere)
    for path in (root / "x_1.mp4", root / "b" / "y_2.mp4", elsewhere / "z_3.mp4"):
        path.touch()
    found = [root / "x_1.mp4", root / "b" / "y_2.mp4", root / "c" / "z_3.mp4"]
    assert list(walk_files(root)) == found
    assert list(videos_below(root).values()) == sorted(found, reverse=True)
