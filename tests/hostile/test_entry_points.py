"""The same hostile files through every way in: `tavlo_pl.load`, `tavlo_pl.localize`, ``tavlo app`` and uploads."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tavlo_pl
from tavlo_pl.app import videos as app_videos
from tests.app.test_server import ask, finished
from tests.helpers.app import served
from tests.helpers.cli import tavlo
from tests.helpers.hostile import refusal
from tests.helpers.predict import localizer
from tests.helpers.tiny import Tiny
from tests.hostile.test_checkpoints import (
    CLIP,
    CONFIGS,
    FILES,
    MODELS,
    OTHER,
    THRESHOLDS,
    WEIGHTS,
    WEIGHTS_OF,
    checkpoint,
    saved,
    with_weight,
)
from tests.hostile.test_files import THINGS

TINY = "model: {class_path: tests.helpers.tiny.Tiny}"
WITHOUT_CLIP = [TINY, f"{TINY}\ndata: 3", f"{TINY}\ndata: {{clip: 3}}"]
"""Enough for `load`, which needs no form of clips and ignores what else a configuration states."""

EVERY: dict[str, Callable[[], bytes]] = {
    **FILES,
    **WEIGHTS_OF,
    **{name: lambda options=options: checkpoint(**options) for name, options in MODELS.items() if "key" not in name},
    **{
        f"{field} {name}": lambda field=field, value=value: checkpoint(clip={field: value})
        for field in CLIP
        for name, value in OTHER.items()
    },
    **{
        f"configuration {number}": lambda text=text: saved({"state_dict": WEIGHTS, "tavlo": {"config": text}})
        for number, text in enumerate(CONFIGS)
        if text not in WITHOUT_CLIP
    },
    **{f"threshold {number}": lambda value=value: checkpoint(value) for number, value in enumerate(THRESHOLDS)},
}
"""All tables of test_checkpoints."""


@pytest.mark.slow  # the tables of test_checkpoints again
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_every_way_in_refuses_checkpoint(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert_refused(tmp_path / "best.ckpt", make())


def assert_refused(path: Path, content: bytes) -> None:
    """Asserts that `load`, `localize` and the app refuse a checkpoint and name it."""
    path.write_bytes(content)
    assert "best.ckpt" in refusal(lambda: tavlo_pl.load(path, "cpu", ("tests",)))
    assert_localize_refuses(path)


def assert_localize_refuses(path: Path) -> None:
    assert "best.ckpt" in refusal(lambda: tavlo_pl.localize("a.mp4", path, device="cpu", allow_import=("tests",)))
    outcome = tavlo("app", "--ckpt_path", path, "--port", 0, "--allow_import", "[tests]")
    assert outcome.code == 2 and "best.ckpt" in outcome.err.splitlines()[-1], outcome.err


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"PK\x05\x06" + bytes(18),
        lambda: with_weight(torch.full((4,), math.inf)),
        lambda: checkpoint(width=2**70),
        lambda: checkpoint(clip=CLIP | {"duration_s": math.inf}),
    ],
    ids=["zip", "weights", "model", "clips"],
)
def test_some_ways_in_refuse_checkpoint(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert_refused(tmp_path / "best.ckpt", make())


@pytest.mark.parametrize("text", WITHOUT_CLIP)
def test_checkpoint_without_form_of_clips_localizes_nothing(tmp_path: Path, text: str) -> None:
    assert text in CONFIGS
    path = tmp_path / "best.ckpt"
    path.write_bytes(saved({"state_dict": WEIGHTS, "tavlo": {"config": text}}))
    assert_localize_refuses(path)
    assert isinstance(tavlo_pl.load(path, "cpu", ("tests",)), Tiny)


@pytest.mark.parametrize("thing", THINGS)
def test_things_that_are_no_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thing: str) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    model = localizer()
    for name in ("a.ckpt", "a.mp4", "a.safetensors"):
        THINGS[thing](tmp_path / "inner" / name)
    assert "a.ckpt" in refusal(lambda: tavlo_pl.load("a.ckpt", "cpu"))
    assert "a.safetensors" in refusal(lambda: tavlo_pl.load("a.safetensors", "cpu"))
    assert "a.ckpt" in refusal(lambda: tavlo_pl.localize("a.mp4", "a.ckpt", device="cpu"))
    assert "a.mp4" in refusal(lambda: model.localize(Path("a.mp4")))
    assert "a.mp4" in refusal(lambda: tavlo_pl.localize("a.mp4", device="cpu"))
    outcome = tavlo("app", "--ckpt_path", "a.ckpt", "--port", 0)
    assert outcome.code == 2 and "a.ckpt" in outcome.err.splitlines()[-1], outcome.err


UPLOADS: dict[str, bytes] = {
    "no bytes": b"",
    "text": b"video",
    "page": b"<html>" * 99,
    "zeros": bytes(5_000),
    "archive": b"PK\x03\x04" + bytes(99),
    "list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "playlist": b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n",
    "MP4 without an index": b"\0\0\0\x18ftypmp42" + bytes(600),
    "Matroska alone": b"\x1aE\xdf\xa3" + bytes(600),
    "image": b"\x89PNG\r\n\x1a\n" + bytes(99),
    "sound of nothing": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\0\0\0",
}


def test_uploads_that_are_no_videos_fail_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(task: Any, _folder: Path, arguments: tuple[Any, ...], report: Any, *_: Any) -> Any:
        return task(*arguments, report)

    monkeypatch.setattr(app_videos, "run", run)  # in this process, which is faster
    with served(tmp_path) as (address, _):
        for name, content in UPLOADS.items():
            state = finished(address, ask(address, "/videos?name=a.mp4", "POST", content).json["key"])
            assert state["state"] == "failed" and state["error"].startswith("a.mp4: "), name
            assert "Error" not in state["error"] and str(tmp_path) not in state["error"], name


@pytest.mark.parametrize("content", UPLOADS.values(), ids=UPLOADS)
def test_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert "a.mp4" in refusal(lambda: tavlo_pl.localize(tmp_path / "a.mp4", device="cpu"))
