"""Videos inside tar archives: read without unpacking, untrusted members rejected."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.media import archive
from tavlo_pl.data.media.archive import members, read_member
from tavlo_pl.errors import ConfigError, MediaError
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("video") / "a.mp4", seconds=1.0).path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w", **fields: object) -> Path:
    """An archive with these members; ``fields`` are set in the header of the last one."""
    with tarfile.open(path, mode) as tar:
        for number, (name, content) in enumerate(files.items(), 1):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items() if number == len(files) else ():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_yields_videos_in_archive_order(video: Path, tmp_path: Path, mode: str) -> None:
    content = video.read_bytes()
    files = {
        "./part/b.mp4": content,
        "part/list.csv": b"x,1\n",
        "part/ä -b.bin": content,
        "part/._a.mp4": b"resource fork",
        "-a.mp4": b"",
    }
    found = dict(members(write_tar(tmp_path / "part.tar", files, mode)))
    assert list(found) == ["./part/b.mp4", "part/ä -b.bin", "-a.mp4"], "by suffix or by content, hidden files skipped"
    assert found["part/ä -b.bin"].content == content
    assert str(found["-a.mp4"]) == f"{tmp_path / 'part.tar'}: -a.mp4"
    with pytest.raises(MediaError, match=r"part\.tar: -a\.mp4: the file is empty"):
        media.probe(found["-a.mp4"])


def test_clip_in_an_archive_equals_the_plain_file(video: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {"x.mp4": b"junk", "part/a.mp4": video.read_bytes()})
    archived, plain = Clip("a", path, member="part/a.mp4"), Clip("a", video)
    assert (archived.frame_times() == plain.frame_times()).all()
    actual, expected = (clip.read([0.1, 0.9], (64, 96), 1.0) for clip in (archived, plain))
    np.testing.assert_array_equal(actual.frames, expected.frames)
    np.testing.assert_array_equal(actual.waveform, expected.waveform)
    with pytest.raises(MediaError, match=r"part\.tar: x\.mp4: not a media file"):
        Clip("x", path, member="x.mp4").read([0.1], (64, 96), 1.0)


def test_read_member_errors(video: Path, tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "a.tar", {"a.mp4": video.read_bytes()})
    with pytest.raises(MediaError, match=r"a\.tar: b\.mp4: not in the archive"):
        read_member(plain, "b.mp4")
    packed = write_tar(tmp_path / "a.tar.gz", {"a.mp4": video.read_bytes()}, "w:gz")
    with pytest.raises(MediaError, match="compressed archive has no random access; unpack it"):
        read_member(packed, "a.mp4")
    with pytest.raises(MediaError, match="No such file"):
        read_member(tmp_path / "none.tar", "a.mp4")


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("../evil.mp4", {}, "a path outside the archive"),
        ("a/../../evil.mp4", {}, "a path outside the archive"),
        ("/etc/evil.mp4", {}, "a path outside the archive"),
        ("evil.mp4", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.LNKTYPE, "linkname": "a.mp4"}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.CHRTYPE}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.FIFOTYPE}, "a link or a device"),
    ],
)
def test_members_rejects_unsafe_members(tmp_path: Path, name: str, fields: dict[str, object], message: str) -> None:
    path = write_tar(tmp_path / "part.tar", {"a.mp4": b"x", name: b""}, **fields)
    with pytest.raises(ConfigError, match=message) as caught:
        list(members(path))
    assert str(caught.value).startswith(f"{path}: {name}: ")


def test_members_rejects_archives_beyond_the_limits(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {"a.mp4": b"xx", "b.txt": b"xxx"})
    assert len(list(members(path, max_bytes=3, max_members=2))) == 1
    with pytest.raises(ConfigError, match=r"b\.txt: the member has 3 bytes, more than 2"):
        list(members(path, max_bytes=2))
    with pytest.raises(ConfigError, match=r"b\.txt: the archive has more than 1 members"):
        list(members(path, max_members=1))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_of_a_truncated_archive(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    files = {f"{name}.mp4": rng.bytes(20_000) for name in "abc"}
    whole = write_tar(tmp_path / "whole.tar", files, mode).read_bytes()
    for kept, count in (
        (0, 0),
        (len(whole) // 2, 1),
        (3 * 20_992, 3) if mode == "w" else (len(whole) - 200, 2),  # without the end-of-archive block
    ):
        (tmp_path / "cut.tar").write_bytes(whole[:kept])
        videos = members(tmp_path / "cut.tar")
        assert all(next(videos)[1].content == content for content in [*files.values()][:count])
        with pytest.raises(MediaError, match=r"cut\.tar: .*truncated or damaged"):
            next(videos)


def test_members_detects_damaged_headers(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {f"{name}.mp4": b"x" * 1000 for name in "abc"})
    content = bytearray(path.read_bytes())
    content[1536 : 1536 + 512] = b"\xff" * 512  # the header of the second member
    path.write_bytes(content)
    with pytest.raises(MediaError, match="truncated or damaged"):
        list(members(path))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_members_rejects_high_compression_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 2**20)
    path = write_tar(tmp_path / "bomb.tar", {f"{name}.mp4": bytes(2**18) for name in "abcdef"}, mode)
    with pytest.raises(ConfigError, match=r"bomb\.tar: it unpacks to more than 1,048,576 bytes"):
        list(members(path))
    skipped = write_tar(tmp_path / "other.tar", {f"{name}.txt": bytes(2**18) for name in "abcdef"}, mode)
    with pytest.raises(ConfigError, match=r"other\.tar: it unpacks to more"):
        list(members(skipped, max_bytes=2**18))


def test_members_rejects_large_headers(tmp_path: Path) -> None:
    name = "long/" * 100_000 + "a.mp4"  # tar keeps such a name in a header of its own
    path = write_tar(tmp_path / "bomb.tar.gz", {name: b"x"}, "w:gz")
    assert [found for found, _ in members(path)] == [name]
    with pytest.raises(ConfigError, match=r"it has a header of 500,[0-9]+ bytes; do not use this archive"):
        list(members(path, max_bytes=400_000))


@pytest.mark.parametrize(
    ("name", "message"), [("../evil.mp4", "a path outside the archive"), ("bomb", "unpacks to more")]
)
def test_cli_rejects_an_unsafe_archive_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 2**20)
    path = write_tar(tmp_path / "part.tar.gz", {name: bytes(2**22 if name == "bomb" else 1)}, "w:gz")
    outcome = tavlo("data", "index", "--root", path, "--out", tmp_path / "out" / "index.parquet", "--jobs", 1)
    assert outcome.code == 2 and message in outcome.err
    assert [line for line in outcome.err.splitlines() if line.startswith("tavlo data: ")] == outcome.err.splitlines()[
        -1:
    ]
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"part.tar.gz", "index.parquet.journal"}
