"""A clip that hangs, in Python and in the decoder, and one that nothing interrupts."""

import ctypes
import os
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tavlo_pl import env
from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.errors import MediaError, SlowMediaError
from tavlo_pl.io import timeout
from tavlo_pl.io.timeout import time_limit
from tests.helpers.clips import write_numbered

LIMIT_S = 0.3


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short limit; the process is not ended, because a busy machine may interrupt it late."""
    monkeypatch.setenv(env.CLIP_TIMEOUT_S, str(LIMIT_S))
    monkeypatch.setattr(timeout, "GRACE", 100)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A truncated Matroska file and a terabyte of zeros (a sparse file), which the demuxer scans byte by byte."""
    path = write_numbered(tmp_path / "endless.mkv").path
    os.truncate(path, path.stat().st_size * 2 // 3)
    os.truncate(path, 2**40)
    return path


def assert_in_time(read: Callable[[], object], named: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(SlowMediaError, match=rf"{named}: reading it took longer than 0\.3 s"):
        read()
    assert time.monotonic() - began_s < 30


def test_a_file_that_hangs_the_demuxer_is_left(endless: Path) -> None:
    assert_in_time(lambda: media.frame_times(endless), "endless.mkv")
    assert_in_time(lambda: media.read_clip(endless, [0.1], None, 0.0, 2.0), "endless.mkv")


def test_training_goes_on_without_a_clip_that_hangs(endless: Path, tmp_path: Path) -> None:
    good = Clip("good", write_numbered(tmp_path / "good.mp4").path)
    dataset = ClipDataset(
        [Clip("endless", endless), good], "train", ClipSpec(segments=2, duration_s=2.0, image_size=32)
    )
    item = dataset[0, 0]
    assert item.clip is good
    (bad,) = item.bad_clips
    assert bad.sample_id == "endless" and "took longer than 0.3 s" in bad.reason


def test_an_archive_that_gives_no_bytes_is_left(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        tar.add(write_numbered(tmp_path / "a.mp4").path, "a.mp4")
    clip = Clip("a", tmp_path / "part.tar", member="a.mp4")
    clip.read([0.1], (32, 32), 2.0)
    clip.path.unlink()
    os.mkfifo(clip.path)  # whoever opens it waits for a writer, for ever
    assert_in_time(lambda: clip.read([0.1], (32, 32), 2.0), "part.tar: a.mp4")


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="no such file"):
        media.probe(tmp_path / "pipe.mp4")


def test_time_limit_interrupts_a_slow_decoder(tmp_path: Path) -> None:
    long = write_numbered(tmp_path / "long.mp4", seconds=10.0).path

    def read() -> None:
        with time_limit(long):
            while True:  # one clip, without end
                media.read_clip(long, [9.9], None, 0.0, 10.0)

    assert_in_time(read, "long.mp4")


def test_the_limit_leaves_no_timer_and_no_handler(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGALRM)
    media.probe(write_numbered(tmp_path / "a.mp4").path)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_timer_of_the_callers_is_left_alone(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4").path
    signal.alarm(100)
    try:
        media.probe(path)
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    finally:
        signal.alarm(0)


def test_time_limit_ends_an_uninterruptible_process(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeout, "GRACE", 2)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as a call into a dead network disk is
        with time_limit("dead.mp4"):
            ctypes.CDLL(None).sleep(60)
        os._exit(0)
    began_s = time.monotonic()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1 and time.monotonic() - began_s < 30
    assert "dead.mp4: reading it took longer than 0.3 s" in capfd.readouterr().err


@pytest.mark.parametrize("grace", [1, 2])
def test_pause_of_the_process_is_no_hang(monkeypatch: pytest.MonkeyPatch, grace: int) -> None:
    monkeypatch.setattr(timeout, "GRACE", grace)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        with time_limit("paused.mp4"):
            os.write(theirs, b"x")
            time.sleep(0.05)  # in which it is stopped
            os.write(theirs, b"x")
            sum(range(1000))
        os._exit(0)
    os.read(ours, 1)
    os.kill(child, signal.SIGSTOP)
    time.sleep(3 * LIMIT_S)
    os.kill(child, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_reader_is_called_again_after_a_pause() -> None:
    calls = []

    @timeout.limited
    def read(path: str) -> str:
        calls.append(path)
        if len(calls) < 3:
            raise timeout.too_slow(path)  # the decoder's clock runs on while the process is stopped
        return path

    assert read("a.mp4") == "a.mp4" and len(calls) == 3

    @timeout.limited
    def hang(path: str) -> None:
        time.sleep(LIMIT_S * 0.8)
        raise timeout.too_slow(path)

    assert_in_time(lambda: hang("b.mp4"), "b.mp4")
