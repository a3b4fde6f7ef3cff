"""Folders at addresses for tests: in the memory of this process, and on disk behind a file system of fsspec."""

from pathlib import Path

import fsspec

from tests.helpers.faults import contents


def upload(folder: Path, name: str) -> str:
    """Copies the files of a folder to the memory of fsspec; returns their address."""
    files = fsspec.filesystem("memory")
    for path, content in contents(folder).items():
        files.pipe_file(f"/{name}/{path}", content)
    return f"memory://{name}"


def stored(name: str) -> dict[str, bytes]:
    """Content of every file in a folder of the memory, by relative path."""
    files = fsspec.filesystem("memory")
    return {path.removeprefix(f"/{name}/"): files.cat_file(path) for path in files.find(f"/{name}")}


def clear() -> None:
    """Removes all files from the memory."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def on_disk(folder: Path) -> str:
    """An address of a folder of this machine that every process can read, and that is no path for the commands."""
    return f"dir://{folder.name}::file://{folder.parent}"
