"""Things that are not files in place of files and folders: pipes, sockets, devices, files of /proc, links, loops."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tavlo_pl.config.security import restrict_imports
from tavlo_pl.data import media
from tavlo_pl.data.annotations import read_mask
from tavlo_pl.data.clip_ids import read_ids
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.data.heatmap_avatar import AvatarHeatmapFolder
from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.index.table import Index
from tavlo_pl.data.media.archive import members
from tavlo_pl.errors import ConfigError
from tavlo_pl.io import files, walk
from tavlo_pl.models.weights_file import read_plain
from tavlo_pl.nn.pretrained.files import load_weights
from tavlo_pl.predict.checkpoint import load_localizer
from tests.helpers.cli import tavlo
from tests.helpers.hostile import refusal


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))  # the name of a socket is short


THINGS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": bind,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "random": lambda path: path.symlink_to("/dev/urandom"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "kernel messages": lambda path: path.symlink_to("/proc/kmsg"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "page map": lambda path: path.symlink_to("/proc/self/pagemap"),
    "own link": lambda path: path.symlink_to(path.name),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to the root": lambda path: path.symlink_to("/"),
    "folder": Path.mkdir,
}
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "list of ids": ("a.txt", read_ids),
    "table": ("a.csv", read_table),
    "VGG-SS": ("a.json", lambda path: VGGSS(str(path)).clips()),
    "AVATAR": (
        "metadata/abcdefghijk_00010/00003.json",
        lambda path: AVATAR(str(path.parents[2]), videos=False).clips(),
    ),
    "Flickr-SoundNet": ("1.xml", lambda path: FlickrSoundNet(str(path.parent)).clips()),
    "mask": ("a.png", read_mask),
    "predictions": ("a.npz", lambda path: HeatmapFolder(path.parent)._read(path)),
    "predictions of AVATAR": ("a.npy", lambda path: AvatarHeatmapFolder(path.parent)._read(path)),
    "index": ("index.parquet", lambda path: Index(str(path), split=None).clips()),
    "archive": ("a.tar", lambda path: list(members(path))),
    "video": ("a.mp4", media.probe),
    "checkpoint": ("a.ckpt", lambda path: load_localizer(path, "cpu")),
    "weights": ("a.pth", lambda path: read_plain(path, f"{path} cannot be read")),
    "safetensors": ("a.safetensors", lambda path: load_weights(torch.nn.Linear(1, 1), path, str)),
    "any": ("a", lambda path: files.read_text(path, 2**20)),
}


@pytest.mark.parametrize("make", THINGS.values(), ids=THINGS)
def test_reader_refuses_what_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    for kind, (name, read) in READERS.items():
        path = tmp_path / kind / name
        path.parent.mkdir(parents=True)
        monkeypatch.chdir(path.parent)
        make(path)
        assert refusal(lambda read=read, path=path: read(path)), kind


@pytest.mark.parametrize("thing", ["pipe", "zeros", "memory", "own link", "dangling link", "folder"])
def test_configuration_that_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thing: str) -> None:
    monkeypatch.chdir(tmp_path)
    THINGS[thing](tmp_path / "a.yaml")
    restrict_imports()
    outcome = tavlo("fit", "-c", tmp_path / "a.yaml", "--out", tmp_path / "out")
    assert outcome.code == 2 and outcome.err.count("\n") == 1 and not (tmp_path / "out").exists(), outcome.err


def test_loops_and_links_to_the_root_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.mp4").touch()
    for name in ("one", "two", "a/three", "a/b/four"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "root").symlink_to("/")
    (tmp_path / "a" / "pipe.mp4").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a" / "b" / "y.mp4")
    for root in (tmp_path, tmp_path / "**" / "*.mp4", tmp_path / "**", tmp_path / "a" / "**" / "x.*"):
        assert [path for _, path in VideoFolder(str(root)).videos()] == [tmp_path / "a" / "x.mp4"]
    monkeypatch.setattr(walk, "MOST_ENTRIES", 5)
    with pytest.raises(ConfigError, match="more than 5 files"):
        list(walk.walk_files(tmp_path))


def test_file_that_grows_is_read_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    assert files.read_text(tmp_path / "a", 11) == "x" * 11
    assert "11 bytes are more than the 10" in refusal(lambda: files.read_text(tmp_path / "a", 10))
    assert "of the system" in refusal(lambda: files.read_text("/proc/self/status", 10))
    assert "null" in refusal(lambda: files.read_text("a\0b", 10))
