"""A lack of memory while a clip is read is no damage of the clip: it is said, and the next run reads the clip."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest

from tavlo_pl.data import media
from tavlo_pl.data.media import container, scan
from tavlo_pl.errors import MediaError, RunFailedError
from tavlo_pl.io.tracebacks import describe_failure
from tavlo_pl.predict.failures import as_media_error
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered


class NoMemory:
    """FFmpeg's error in place of an answer, once or for ever."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.demux = container.demux

    def __call__(self, *args: Any) -> Iterator[Any]:
        if self.times > 0:
            self.times -= 1
            av.error.err_check(-errno.ENOMEM)
        return self.demux(*args)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return write_numbered(tmp_path / "clips" / "aaaaaaaaaaa_000001.mp4", seconds=0.4, click_s=()).path


def test_reader_says_that_memory_is_lacking(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "demux", NoMemory(2))
    for read in (media.probe, media.frame_times):
        with pytest.raises(MemoryError, match=r"aaaaaaaaaaa_000001\.mp4: cannot allocate memory") as lacking:
            read(clip)
        assert type(lacking.value) is MemoryError  # FFmpeg's own class does not pass between processes
    assert media.probe(clip).frame_count == 10


def test_open_says_that_memory_is_lacking(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.data.media.container.av.open", lambda *_, **__: av.error.err_check(-errno.ENOMEM))
    with pytest.raises(MemoryError, match="cannot allocate memory"):
        media.probe(clip)


ERRORS = {
    "Python": MemoryError(),
    "torch": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "system": OSError(errno.ENOMEM, "Cannot allocate memory"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_lack_of_memory_fails_one_video_of_predict(error: Exception) -> None:
    wanted = r"[Nn]ot enough memory|Cannot allocate memory"
    with pytest.raises(MediaError, match=wanted) as failed, as_media_error(Path("a")):
        raise error
    assert "damaged" not in str(failed.value)
    with pytest.raises(RunFailedError, match=wanted):
        raise describe_failure(error, "data index")


def test_index_keeps_no_clip_as_damaged(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--root", clip.parent, "--out", tmp_path / "index.parquet", "--jobs", 1)
    monkeypatch.setattr(scan, "demux", NoMemory(1))
    outcome = tavlo("data", "index", *words)
    assert outcome.code == 1 and "not enough memory" in outcome.err and not (tmp_path / "index.parquet").exists()
    outcome = tavlo("data", "index", *words)
    assert outcome.code == 0, outcome.err
    (row,) = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert row["fault"] == "" and row["frame_count"] == 10
