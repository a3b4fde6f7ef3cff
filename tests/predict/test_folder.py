"""Names of files, and which videos of a folder are finished."""

import json
from pathlib import Path

import pytest

from tavlo_pl.errors import ConfigError, PredictionError
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions, checked_name

MADE_WITH = {"checkpoint": "one"}


def write_files(folder: PredictionFolder, made_with: str) -> None:
    """Writes the files of the video ``a``, all empty but ``a.sources.json``."""
    *others, sources = folder.files("a")
    for path in others:
        path.write_bytes(b"")
    sources.write_text(made_with)


def test_files_depend_on_the_options(tmp_path: Path) -> None:
    names = [path.name for path in PredictionFolder(tmp_path, PredictOptions(), MADE_WITH).files("a")]
    assert names == ["a.npz", "a.jpg", "a.mp4", "a.sources.json"]
    without = PredictionFolder(tmp_path, PredictOptions(overlay_videos=False), MADE_WITH)
    assert [path.name for path in without.files("a")] == ["a.npz", "a.jpg", "a.sources.json"]


def test_is_finished_compares_checkpoint_and_options(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(box=True), MADE_WITH)
    assert not folder.is_finished("a")
    write_files(folder, json.dumps({"made_with": folder.made_with}))
    assert folder.is_finished("a")
    assert PredictionFolder(tmp_path, PredictOptions(overlay_videos=False), MADE_WITH).is_finished("a")
    assert not PredictionFolder(tmp_path, PredictOptions(), MADE_WITH).is_finished("a")
    assert not PredictionFolder(tmp_path, PredictOptions(box=True), {"checkpoint": "two"}).is_finished("a")


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_is_finished_raises_for_unreadable_sources(text: str, tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    write_files(folder, text)
    with pytest.raises(PredictionError, match=r"a\.sources\.json: cannot be read .*; remove the file"):
        folder.is_finished("a")


def test_locked_excludes_other_holders(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, PredictOptions(), MADE_WITH)
    with folder.locked("a") as first, folder.locked("a") as second, folder.locked("b") as other:
        assert (first, second, other) == (True, False, True)
    with folder.locked("a") as again:
        assert again


@pytest.mark.parametrize("name", ["", "a/b", "..\\b", "/etc/passwd", "a\nb", "a\0b", "x" * 300])
def test_checked_name_rejects_what_is_no_file_name(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a file name"):
        checked_name(name)


@pytest.mark.parametrize("name", ["-abc_00012", "l_7B1wnTNtA_00020", "Was ist das?", "über uns", "a.b"])
def test_checked_name_accepts_names_of_real_videos(name: str) -> None:
    assert checked_name(name) == name
