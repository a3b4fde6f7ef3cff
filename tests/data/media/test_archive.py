"""Videos inside of tar archives: read without unpacking, and nothing that would leave its folder."""

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
def test_the_videos_of_an_archive_come_in_its_order(video: Path, tmp_path: Path, mode: str) -> None:
    content = video.read_bytes()
    files = {
        "./part/b.mp4": content,
        "part/list.csv": b"x,1\n",
        "part/ä -b.bin": content,
        "part/._a.mp4": b"resource fork",
        "-a.mp4": b"",
    }
    found = dict(members(write_tar(tmp_path / "part.tar", files, mode)))
    assert list(found) == ["./part/b.mp4", "part/ä -b.bin", "-a.mp4"], "by suffix or by content, hidden ones left out"
    assert found["part/ä -b.bin"].content == content
    assert str(found["-a.mp4"]) == f"{tmp_path / 'part.tar'}: -a.mp4"
    with pytest.raises(MediaError, match=r"part\.tar: -a\.mp4: the file is empty"):
        media.probe(found["-a.mp4"])


def test_a_clip_in_an_archive_reads_as_the_file_does(video: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {"x.mp4": b"junk", "part/a.mp4": video.read_bytes()})
    packed, plain = Clip("a", path, member="part/a.mp4"), Clip("a", video)
    assert (packed.frame_times() == plain.frame_times()).all()
    ours, theirs = (clip.read([0.1, 0.9], (64, 96), 1.0) for clip in (packed, plain))
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    np.testing.assert_array_equal(ours.waveform, theirs.waveform)
    with pytest.raises(MediaError, match=r"part\.tar: x\.mp4: not a media file"):
        Clip("x", path, member="x.mp4").read([0.1], (64, 96), 1.0)


def test_archive_random_access_needs_a_plain_archive(video: Path, tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "a.tar", {"a.mp4": video.read_bytes()})
    with pytest.raises(MediaError, match=r"a\.tar: b\.mp4: not in the archive"):
        read_member(plain, "b.mp4")
    packed = write_tar(tmp_path / "a.tar.gz", {"a.mp4": video.read_bytes()}, "w:gz")
    with pytest.raises(MediaError, match="compressed archive cannot be read in any order; unpack it"):
        read_member(packed, "a.mp4")
    with pytest.raises(MediaError, match="no such archive"):
        read_member(tmp_path / "none.tar", "a.mp4")


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("../evil.mp4", {}, "leads out of the archive"),
        ("a/../../evil.mp4", {}, "leads out of the archive"),
        ("/etc/evil.mp4", {}, "leads out of the archive"),
        ("evil.mp4", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.LNKTYPE, "linkname": "a.mp4"}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.CHRTYPE}, "a link or a device"),
        ("evil.mp4", {"type": tarfile.FIFOTYPE}, "a link or a device"),
    ],
)
def test_a_member_that_is_no_plain_file_in_its_folder_is_refused(
    tmp_path: Path, name: str, fields: dict[str, object], told: str
) -> None:
    path = write_tar(tmp_path / "part.tar", {"a.mp4": b"x", name: b""}, **fields)
    with pytest.raises(ConfigError, match=told) as caught:
        list(members(path))
    assert str(caught.value).startswith(f"{path}: {name}: ")


def test_an_archive_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {"a.mp4": b"xx", "b.txt": b"xxx"})
    assert len(list(members(path, largest_bytes=3, most=2))) == 1
    with pytest.raises(ConfigError, match=r"b\.txt: the member has 3 bytes, more than 2"):
        list(members(path, largest_bytes=2))
    with pytest.raises(ConfigError, match=r"b\.txt: the archive has more than 1 members"):
        list(members(path, most=1))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_cut_archive_gives_what_is_whole_and_then_an_error(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    files = {f"{name}.mp4": rng.bytes(20_000) for name in "abc"}
    whole = write_tar(tmp_path / "whole.tar", files, mode).read_bytes()
    for kept, count in (
        (0, 0),
        (len(whole) // 2, 1),
        (3 * 20_992, 3) if mode == "w" else (len(whole) - 200, 2),  # without the mark of the end
    ):
        (tmp_path / "cut.tar").write_bytes(whole[:kept])
        videos = members(tmp_path / "cut.tar")
        assert all(next(videos)[1].content == content for content in [*files.values()][:count])
        with pytest.raises(MediaError, match=r"cut\.tar: .*cut short or damaged"):
            next(videos)


def test_damage_between_members_is_no_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "part.tar", {f"{name}.mp4": b"x" * 1000 for name in "abc"})
    content = bytearray(path.read_bytes())
    content[1536 : 1536 + 512] = b"\xff" * 512  # the header of the second member
    path.write_bytes(content)
    with pytest.raises(MediaError, match="cut short or damaged"):
        list(members(path))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_an_archive_that_a_few_bytes_blow_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(archive, "GROWTH_ALLOWED_BYTES", 2**20)
    path = write_tar(tmp_path / "bomb.tar", {f"{name}.mp4": bytes(2**18) for name in "abcdef"}, mode)
    with pytest.raises(ConfigError, match=r"bomb\.tar: it unpacks to more than 1,048,576 bytes"):
        list(members(path))
    passed_over = write_tar(tmp_path / "other.tar", {f"{name}.txt": bytes(2**18) for name in "abcdef"}, mode)
    with pytest.raises(ConfigError, match=r"other\.tar: it unpacks to more"):
        list(members(passed_over, largest_bytes=2**18))


def test_archive_header_size_is_limited(tmp_path: Path) -> None:
    name = "long/" * 100_000 + "a.mp4"  # tar keeps such a name in a header of its own
    path = write_tar(tmp_path / "bomb.tar.gz", {name: b"x"}, "w:gz")
    assert [found for found, _ in members(path)] == [name]
    with pytest.raises(ConfigError, match=r"it has a header of 500,[0-9]+ bytes; take this archive away"):
        list(members(path, largest_bytes=400_000))


@pytest.mark.parametrize(("name", "told"), [("../evil.mp4", "leads out of the archive"), ("bomb", "unpacks to more")])
def test_the_command_line_refuses_an_archive_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    monkeypatch.setattr(archive, "GROWTH_ALLOWED_BYTES", 2**20)
    path = write_tar(tmp_path / "part.tar.gz", {name: bytes(2**22 if name == "bomb" else 1)}, "w:gz")
    outcome = tavlo("data", "index", "--root", path, "--out", tmp_path / "out" / "index.parquet", "--jobs", 1)
    assert outcome.code == 2 and told in outcome.err
    assert [line for line in outcome.err.splitlines() if line.startswith("tavlo data: ")] == outcome.err.splitlines()[
        -1:
    ]
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {"part.tar.gz", "index.parquet.journal"}
