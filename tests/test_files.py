"""Files written whole, folders for one process at a time, and what a disk's refusal is called."""

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.files import alone, refusal, whole_file


def test_a_file_is_there_as_a_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as part:
        part.write_text("old")
        assert not path.exists()
    with suppress(ZeroDivisionError), whole_file(path) as part:
        part.write_text("half of the n")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(os.listdir(tmp_path)))
    with whole_file(tmp_path / "a.txt") as part:
        part.write_text("x")
    assert seen == [["a.txt.part"]]


def test_an_error_of_the_disk_names_the_file(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "a.txt") as part, open("/dev/full", "wb", buffering=0) as full:
            part.write_text("x")
            full.write(b"x")

    with pytest.raises(OSError, match="No space") as raised:
        write()
    told = refusal(raised.value)
    assert told is not None and told.exit_code == 1 and "a.txt: No space left on device" in str(told)


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EROFS, 2), (errno.EACCES, 2), (errno.EIO, None)]
)
def test_a_full_disk_is_a_failed_run_and_a_closed_one_a_mistake(number: int, code: int | None) -> None:
    told = refusal(OSError(number, os.strerror(number), "x"))
    assert (told and told.exit_code) == code
    assert refusal(ValueError()) is None


def in_a_process(folder: Path, wait: bool) -> tuple[int, int]:
    """A process that takes the folder and says so by a byte; it ends at once, or when it is killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with alone(folder):
                os.write(writer, b"1")
                if wait:
                    signal.pause()
        except ConfigError:
            os.write(writer, b"0")
        os._exit(0)
    os.close(writer)
    return child, reader


def test_a_folder_is_for_one_process_at_a_time_and_free_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    child, reader = in_a_process(folder, wait=True)
    assert os.read(reader, 1) == b"1"
    with pytest.raises(ConfigError, match=rf"run is in use by another run \(process {child} on "), alone(folder):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert os.listdir(folder) == [".lock"]
    with alone(folder):
        other, reader = in_a_process(folder, wait=False)
        assert os.read(reader, 1) == b"0"
        os.waitpid(other, 0)
        (folder / "x").touch()
    assert os.listdir(folder) == ["x"]


def test_a_lock_outlives_no_killed_run_in_the_hands_of_its_workers(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with alone(tmp_path):
            if os.fork() == 0:  # a worker, which inherits what is open
                os.write(writer, f"{os.getpid()}".encode())
                signal.pause()
            signal.pause()
    worker = int(os.read(reader, 20))
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.kill(worker, 0)  # it is alive
        with alone(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "run"):
        raise ZeroDivisionError
    assert not (tmp_path / "run").exists()
