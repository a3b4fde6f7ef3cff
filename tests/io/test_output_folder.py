"""Output folders on disk and at addresses."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tavlo_pl.io import output_folder
from tavlo_pl.io.output_folder import OutputFolder
from tests.helpers.faults import contents
from tests.helpers.remote import clear, on_disk


@pytest.fixture(params=["path", "file", "memory", "dir"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OutputFolder]:
    out = tmp_path / "out"
    roots = {"path": str(out), "file": f"file://{out}", "memory": "memory://out", "dir": on_disk(out)}
    yield OutputFolder(roots[request.param])
    clear()


def test_files_are_written_listed_and_removed(folder: OutputFolder, tmp_path: Path) -> None:
    assert folder.names() == [] and folder.sizes() == {}
    local = tmp_path / "local"
    (local / "b").mkdir(parents=True)
    for name in ("a.txt", "b/c.txt"):
        (local / name).write_text(name)
    folder.put_all(local, last=["a.txt", "none"])
    with folder.new_file("b/new.txt") as path:
        path.write_text("new")
    assert folder.sizes() == {"a.txt": 5, "b/c.txt": 7, "b/new.txt": 3}
    assert sorted(folder.names()) == ["a.txt", "b"]
    copy = pickle.loads(pickle.dumps(folder))
    assert copy.exists("a.txt") and copy.size("b/new.txt") == 3 and copy.read("b/c.txt") == b"b/c.txt"
    folder.fetch(["b/new.txt", "a.txt"], tmp_path / "copy")
    assert contents(tmp_path / "copy") == {"a.txt": b"a.txt", "b/new.txt": b"new"}
    folder.remove("a.txt")
    folder.remove("a.txt")
    assert not folder.exists("a.txt")


def test_folders_of_object_stores_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "put_file", lambda *_: None)
    monkeypatch.setattr(MemoryFileSystem, "makedirs", lambda _, path, **__: made.append(path))
    OutputFolder("memory://bucket/out").put(tmp_path, "b/a.txt")
    monkeypatch.setattr(output_folder, "BUCKETS", {"memory"})
    OutputFolder("memory://misspelt/out").put(tmp_path, "b/a.txt")
    assert made == ["/bucket/out/b"]


def test_missing_files_and_passwords_are_errors() -> None:
    folder = OutputFolder("memory://out")
    with pytest.raises(DatasetNotFoundError, match=r"memory://out/a\.txt: no such file"):
        folder.read("a.txt")
    with pytest.raises(ConfigError, match=r"s3://\.\.\.@bucket"):
        OutputFolder("s3://key:secret@bucket")
