"""A few changed files of each kind; ``make fuzz`` reads thousands."""

import json
from pathlib import Path

import pytest

from tavlo_pl.data.avatar import AVATAR
from tavlo_pl.data.clip import read_mask
from tavlo_pl.errors import AnnotationError
from tests.fuzz import run
from tests.helpers.trees import instance, write_avatar


def test_changed_files_are_read_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = run.main(["--files", "450", "--media", "15"])
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert " 50 files" in shown and "0 escapes" in shown


def test_an_escape_and_a_hang_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LIMIT_S", 1)

    def spin(_: Path) -> None:
        while True:
            pass

    def fail(_: Path) -> None:
        raise RecursionError

    for read, name in ((spin, "Hang"), (fail, "RecursionError")):
        target = run.Target("file", lambda draw: b"", read)
        assert run.outcome(target, "seed", tmp_path).startswith(name)


@pytest.mark.parametrize(
    "geometry",
    [
        {"segmentation": [[1, 2] * 200_000]},
        {"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}},
        {"segmentation": {"size": [2, 2], "counts": "o" * 100_000}},
        {"segmentation": [[[[[[1, 2, 3, 4, 5, 6]]]]]]},
        {"bbox": [0, 0, 10**400, 1]},
    ],
)
def test_geometry_without_end_is_refused(tmp_path: Path, geometry: dict[str, object]) -> None:
    write_avatar(tmp_path, {"abcdefghijk_00010": {"00003": [instance(**geometry)]}}, empty=True)
    with pytest.raises(AnnotationError, match=r"00003\.json"):
        AVATAR(str(tmp_path)).clips()


def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\0\0\0\0\x99\x16\x85\x37"
    )  # 20,000 x 20,000
    with pytest.raises(AnnotationError, match=r"bomb\.png"):
        read_mask(tmp_path / "bomb.png")
    path = write_avatar(tmp_path, {"abcdefghijk_00010": {"00003": [instance()]}}, empty=True)
    file = path / "metadata/abcdefghijk_00010/00003.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"original_width": 10**9}))
    with pytest.raises(AnnotationError, match="no picture has 1000000000 x 64 pixels"):
        AVATAR(str(tmp_path)).clips()
