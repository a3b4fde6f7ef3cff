"""Folders for one run at a time."""

import os
import signal
from pathlib import Path

import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.locking import exclusive_folder


def in_a_process(folder: Path, wait: bool) -> tuple[int, int]:
    """A process that takes the folder and says so by a byte; it ends at once, or when it is killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with exclusive_folder(folder):
                os.write(writer, b"1")
                if wait:
                    signal.pause()
        except ConfigError:
            os.write(writer, b"0")
        os._exit(0)
    os.close(writer)
    return child, reader


def test_exclusive_folder_is_free_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    child, reader = in_a_process(folder, wait=True)
    assert os.read(reader, 1) == b"1"
    with (
        pytest.raises(ConfigError, match=rf"run is in use by another run \(process {child} on "),
        exclusive_folder(folder),
    ):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.listdir(folder) == [".lock"]
    with exclusive_folder(folder):
        other, reader = in_a_process(folder, wait=False)
        assert os.read(reader, 1) == b"0"
        os.waitpid(other, 0)
        (folder / "x").touch()
    assert os.listdir(folder) == ["x"]


def test_exclusive_folder_is_not_held_by_child_processes(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with exclusive_folder(tmp_path):
            if os.fork() == 0:  # a worker, which inherits what is open
                os.write(writer, f"{os.getpid()}".encode())
                signal.pause()
            signal.pause()
    worker = int(os.read(reader, 20))
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.kill(worker, 0)  # it is alive
        with exclusive_folder(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_exclusive_folder_removes_an_empty_new_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive_folder(tmp_path / "run"):
        raise ZeroDivisionError
    assert not (tmp_path / "run").exists()


def test_exclusive_folder_removes_empty_new_parents(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with exclusive_folder(tmp_path / "old" / "runs" / "run"):
        assert (tmp_path / "old" / "runs" / "run").is_dir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "old"]
    with exclusive_folder(tmp_path / "runs" / "run"):
        (tmp_path / "runs" / "other").mkdir()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "other", "runs"]
