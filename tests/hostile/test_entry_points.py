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
from tests.hostile.test_checkpoints import CLIP, FILES, MODELS, WEIGHTS_OF, checkpoint, with_weight

EVERY: dict[str, Callable[[], bytes]] = {
    **FILES,
    **WEIGHTS_OF,
    **{name: lambda options=options: checkpoint(**options) for name, options in MODELS.items() if "key" not in name},
}


@pytest.mark.slow  # the table of test_checkpoints again
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_load_refuses_checkpoint(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "best.ckpt").write_bytes(make())
    assert "best.ckpt" in refusal(lambda: tavlo_pl.load(tmp_path / "best.ckpt", "cpu", ("tests",)))


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
def test_app_and_localize_refuse_checkpoint(tmp_path: Path, make: Callable[[], bytes]) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(make())
    assert "best.ckpt" in refusal(lambda: tavlo_pl.localize("a.mp4", path, device="cpu", allow_import=("tests",)))
    outcome = tavlo("app", "--ckpt_path", path, "--port", 0, "--allow_import", "[tests]")
    assert outcome.code == 2 and "best.ckpt" in outcome.err.splitlines()[-1], outcome.err


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
