"""Files that exist completely or not at all."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.os_errors import describe_os_error


def test_atomic_path_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_path(path) as part:
        part.write_text("old")
        assert not path.exists()
    with suppress(ZeroDivisionError), atomic_path(path) as part:
        part.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_path_flushes_before_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(os.listdir(tmp_path)))
    with atomic_path(tmp_path / "a.txt") as part:
        part.write_text("x")
    assert seen == [["a.txt.part"]]


def test_atomic_path_errors_name_the_file(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_path(tmp_path / "a.txt") as part, open("/dev/full", "wb", buffering=0) as full:
            part.write_text("x")
            full.write(b"x")

    with pytest.raises(OSError, match="No space") as raised:
        write()
    told = describe_os_error(raised.value)
    assert told is not None and told.exit_code == 1 and "a.txt: No space left on device" in str(told)
