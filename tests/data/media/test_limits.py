"""Media files that state more than any has, or that would open other files."""

from pathlib import Path

import av
import numpy as np
import pytest

from tavlo_pl import env
from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError, CorruptMediaError, MediaError, NotMediaError
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.run import tiny_config


@pytest.fixture(autouse=True)
def usual_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits hold for the process: after each test they are what they were."""
    monkeypatch.setenv(env.MEDIA_LIMITS, "{}")


def golomb(number: int) -> str:
    """A number as H.264 headers have it."""
    bits = f"{number + 1:b}"
    return "0" * (len(bits) - 1) + bits


def write_h264(path: Path, side: int) -> Path:
    """A stream whose header states a square frame, with one broken frame behind it."""
    bits = f"{66:08b}{0:08b}{62:08b}" + "".join(map(golomb, (0, 0, 2, 1))) + "0"
    bits += 2 * golomb(side // 16 - 1) + "11001"
    header = int(f"{bits:0<{-(-len(bits) // 8) * 8}}", 2).to_bytes(-(-len(bits) // 8), "big")
    units = (b"\x67" + header, b"\x68\xce\x38\x80", b"\x65\x88\x84\x00\x10\xff\xfe\xf6" + b"\x55" * 400)
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in units))
    return path


def write_raw_avi(path: Path, side: int) -> Path:
    """Uncompressed frames of 16 x 16 pixels under a header that states a larger square."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "bgr24"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
    content = bytearray(path.read_bytes())
    sides = content.index(b"strf") + 12
    content[sides : sides + 8] = 2 * side.to_bytes(4, "little")
    path.write_bytes(content)
    return path


def test_header_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"12,000 x 12,000 pixels, more than the 67,108,864 that limits\.pixels"):
        media.probe(write_h264(tmp_path / "large.mp4", 12_000))
    for side in (12_000, 20_000):
        for read in (media.probe, media.frame_times):
            with pytest.raises(CorruptMediaError, match=r"raw\.avi: damaged: its video states no size, or more"):
                read(write_raw_avi(tmp_path / "raw.avi", side))
    assert media.probe(write_raw_avi(tmp_path / "raw.avi", 16)).width == 16


def test_the_limits_are_options(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", seconds=1.0).path
    assert media.probe(path).duration_s == pytest.approx(1, abs=0.1)
    for limits, told in (
        (media.Limits(pixels=96 * 64 - 1), "96 x 64 pixels, more than the 6,143 that limits.pixels allows"),
        (media.Limits(duration_s=0.5), "limits.duration_s allows"),
        (media.Limits(streams=1), "2 streams, more than the 1 that limits.streams allows"),
    ):
        media.set_limits(limits)
        with pytest.raises(MediaError, match=told.replace(".", r"\.")):
            media.read_clip(path, [0.1], None, 0.0, 0.5)
    media.set_limits(media.Limits(pixels=96 * 64))
    assert media.read_clip(path, [0.1], None, 0.0, 0.5).frames.shape == (1, 64, 96, 3)
    media.set_limits(media.DEFAULT_LIMITS)  # does not take back what the user set by the environment
    with pytest.raises(MediaError):
        media.probe(write_numbered(tmp_path / "b.mp4", seconds=0.4, size=(128, 96)).path)
    with pytest.raises(ConfigError, match="must be positive"):
        media.Limits(pixels=0)


def test_limits_that_are_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "a.mp4", seconds=0.4).path
    for text in ("[", "3", '{"pixel": 3}'):
        monkeypatch.setenv(env.MEDIA_LIMITS, text)
        with pytest.raises(ConfigError, match="TAVLO_MEDIA_LIMITS is"):
            media.probe(path)


@pytest.mark.parametrize(
    "content", ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"]
)
def test_a_file_that_would_open_others_is_no_media(tmp_path: Path, content: str) -> None:
    for name in ("a.mp4", "a.ts"):
        write_numbered(tmp_path / name, seconds=0.4)
    (tmp_path / "list.mp4").write_text(content)
    with pytest.raises(NotMediaError, match=r"list\.mp4: not a media file"):
        media.probe(tmp_path / "list.mp4")


def test_the_command_line_refuses_and_widens(world: Path, tmp_path: Path) -> None:
    words = ("data", "audit", "--train", world / "train", "--test", world / "test", "--duration_s", 2)
    outcome = tavlo(*words, "--out", tmp_path, "--limits.pixels", 64 * 64 - 1)
    assert "limits.pixels allows" in (tmp_path / "audit.json").read_text(), outcome.err
    fit = ("fit", "-c", tiny_config(world, tmp_path, max_steps=1), "--data.limits.pixels")
    outcome = tavlo(*fit, 100, "--out", tmp_path / "out")
    assert outcome.code == 1 and "64 x 64 pixels, more than the 100 that limits.pixels allows" in outcome.err
    outcome = tavlo(*fit, 0, "--out", tmp_path / "none")
    assert outcome.code == 2 and "limits of media files must be positive" in outcome.err
    video = write_h264(tmp_path / "bomb.mp4", 12_000)
    outcome = tavlo("data", "index", "--root", video, "--out", tmp_path / "index.parquet", "--jobs", 1)
    assert outcome.code == 0 and "unreadable" in outcome.out
    words = ("test", "-c", tiny_config(world, tmp_path), "--allow_untrained", "--out", tmp_path / "test")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "metadata").symlink_to(world / "test" / "metadata")
    (tmp_path / "set" / "video").mkdir()
    for path in (world / "test" / "video").iterdir():
        write_h264(tmp_path / "set" / "video" / path.name, 12_000)
    outcome = tavlo(*words, "--data.test.init_args.root", tmp_path / "set")
    assert outcome.code == 2 and "12,000 x 12,000 pixels" in outcome.err and outcome.err.count("\n") == 1
