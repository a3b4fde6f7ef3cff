"""Files at addresses: listed, copied while they are read, and errors of one sentence without secrets."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError, UnreachableMediaError
from tavlo_pl.io import remote
from tavlo_pl.io.remote import RemoteFile
from tests.helpers.clips import write_numbered
from tests.helpers.remote import clear, on_disk, upload


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty memory, no waiting, and temporary folders in a folder of the test."""
    clear()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(remote, "WAITS_S", (0.0, 0.0))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield
    clear()


@pytest.fixture
def address(tmp_path: Path) -> str:
    folder = tmp_path / "videos"
    (folder / "b").mkdir(parents=True)
    for name in ("a.mp4", "b/a.mp4", "b/c.txt"):
        (folder / name).write_bytes(name.encode())
    return upload(folder, "bucket/videos")


def names(files: list[RemoteFile]) -> list[str]:
    return [str(file) for file in files]


def test_files_of_folders_patterns_and_addresses(address: str, tmp_path: Path) -> None:
    every = [f"{address}/{name}" for name in ("a.mp4", "b/a.mp4", "b/c.txt")]
    assert names(remote.find(address)) == names(remote.find(f"{address}/")) == every
    assert names(remote.find(every[1])) == every[1:2]
    assert names(remote.find(f"{address}/*/*.mp4")) == every[1:2]
    assert every[1] in names(remote.find(f"{address}/**/*.mp4"))
    assert remote.find(f"{address}/none") == remote.find("memory://none/*.mp4") == []
    chained = remote.find(on_disk(tmp_path / "videos"))
    assert names(chained) == [f"dir://videos/{name}::file://{tmp_path}" for name in ("a.mp4", "b/a.mp4", "b/c.txt")]
    assert [(file.name, file.stem, file.size) for file in chained[1:]] == [("a.mp4", "a", 7), ("c.txt", "c", 7)]
    assert chained[0].mtime_ns == pytest.approx((tmp_path / "videos" / "a.mp4").stat().st_mtime_ns, abs=1000)
    assert all(remote.is_below(str(file), on_disk(tmp_path / "videos")) for file in chained)
    assert not remote.is_below(str(chained[0]), "dir://videos::file:///other")
    assert not remote.is_below("s3://bucket/a/../b", "s3://bucket/a")


def test_copy_lives_as_long_as_the_outermost_block(address: str, tmp_path: Path) -> None:
    file = RemoteFile(f"{address}/a.mp4")
    with remote.on_disk(file) as copy:
        assert copy.read_bytes() == b"a.mp4" and copy.suffix == ".mp4"
        with remote.on_disk(file) as again:
            assert again == copy
        assert copy.is_file()
    with pytest.raises(ZeroDivisionError), remote.on_disk(file):
        _ = 1 / 0
    with remote.on_disk(tmp_path) as path:
        assert path == tmp_path
    assert not list((tmp_path / "tmp").iterdir())


def test_media_are_read_from_addresses(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    clip = write_numbered(tmp_path / "videos" / "a.mp4", seconds=0.8)
    file = RemoteFile(f"{upload(clip.path.parent, 'bucket')}/a.mp4")
    assert media.probe(file).frame_count == media.probe(clip.path).frame_count
    one, two = (media.read_clip(path, [0.1, 0.5], (16, 16), 0.0, 0.5) for path in (file, clip.path))
    assert (one.frames == two.frames).all() and (one.waveform == two.waveform).all()
    fsspec.filesystem("memory").pipe_file("/bucket/a.mp4", b"<html>")
    with pytest.raises(MediaError, match=r"memory://bucket/a\.mp4: not a media file"):
        media.probe(file)
    with pytest.raises(MediaError, match=r"memory://bucket/b\.mp4: no such file"):
        media.probe(RemoteFile("memory://bucket/b.mp4"))
    assert not list((tmp_path / "tmp").iterdir())


def test_copy_is_tried_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = remote._transfer, [2]

    def fails(file: RemoteFile, path: Path) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError("connection reset")
        real(file, path)

    monkeypatch.setattr(remote, "_transfer", fails)
    with remote.on_disk(RemoteFile(f"{address}/a.mp4")) as copy:
        assert copy.read_bytes() == b"a.mp4"
    left[0] = 3
    with (
        pytest.raises(UnreachableMediaError, match=r"a\.mp4: cannot be reached \(connection reset\)"),
        remote.on_disk(RemoteFile(f"{address}/a.mp4")),
    ):
        pass


def test_short_transfers_and_full_disks_are_errors(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RemoteFile(f"{address}/a.mp4")
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda _: SimpleNamespace(free=3))
    with (
        pytest.raises(MediaError, match=r"5 bytes, and the temporary folder .* has 3; set TMPDIR"),
        remote.on_disk(file),
    ):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(remote, "WAITS_S", ())
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.size", 9)
    with pytest.raises(UnreachableMediaError, match="5 of 9 bytes came"), remote.on_disk(file):
        pass


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nothing://bucket/a", "no file system for this address (Protocol not known: nothing)"),
        ("s3://key:secret@bucket/a", "s3://...@bucket/a: an address with a password"),
        ("simplecache::https://host/a.mp4?sig=secret", "simplecache::https://host/a.mp4?...: an address"),
    ],
)
def test_wrong_addresses_are_one_sentence(address: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        remote.find(address)
    assert words in str(raised.value) and "secret" not in str(raised.value)
    assert raised.value.exit_code == 2


def test_listing_of_an_unreachable_address_fails(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.find", lambda *_, **__: {})
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", lambda *_: 1 / 0)
    with pytest.raises(RunFailedError, match=r"cannot be reached .*run the same command again") as raised:
        remote.find(address)
    assert raised.value.exit_code == 1


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_missing_library_is_named() -> None:
    with pytest.raises(ConfigError, match=r"s3://bucket/a: no file system .*Install s3fs"):
        remote.find("s3://bucket/a")


def test_errors_of_file_systems_are_explained() -> None:
    for error, expected, words in (
        (PermissionError("Forbidden"), ConfigError, r"access is denied \(Forbidden\)"),
        (ValueError("Unable to locate credentials"), ConfigError, "check the credentials"),
        (TimeoutError(), RunFailedError, r"cannot be reached \(TimeoutError\)"),
    ):
        with pytest.raises(expected, match=words), remote.explained("s3://bucket"):
            raise error


def test_fsspec_is_imported_for_addresses_alone() -> None:
    code = (
        "import sys; from tavlo_pl.io import output_folder, remote; from tavlo_pl.commands import data_index; "
        "from tavlo_pl.data import media; assert not remote.is_address('videos/a.mp4'); "
        "assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
