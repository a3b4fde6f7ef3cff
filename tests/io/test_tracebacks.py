"""Internal errors: where the traceback is, and what is no internal error."""

import errno
import tempfile
from pathlib import Path

import pytest

from tavlo_pl.errors import InternalError, RunFailedError
from tavlo_pl.io.tracebacks import describe_failure


def test_traceback_without_run_folder_is_in_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for log in (None, tmp_path / "none" / "error.log"):
        found = describe_failure(ValueError("odd"), "score", log)
        assert isinstance(found, InternalError) and found.exit_code == 70
        (file,) = tmp_path.iterdir()
        assert f"internal error in tavlo score, please report it with the traceback in {file}" in str(found)
        assert "ValueError: odd" in file.read_text()
        file.unlink()


def test_traceback_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert "set TAVLO_DEBUG=1 to see it" in str(describe_failure(ValueError(), "fit"))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_lack_of_memory_and_disks_are_no_internal_errors(error: Exception) -> None:
    found = describe_failure(error, "fit")
    assert isinstance(found, RunFailedError) and found.exit_code == 1
