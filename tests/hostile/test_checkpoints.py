"""Checkpoints that claim more than they hold, hold what no training writes, or state sizes that fill the memory."""

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.errors import CheckpointError, TavloError
from tavlo_pl.predict.checkpoint import load_localizer, threshold_of
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.hostile import refusal
from tests.helpers.tiny import Tiny

CLIP = {"segments": 3, "duration_s": 2.0, "image_size": 32, "mel_bands": 16, "columns_per_segment": 24}
WEIGHTS = Tiny().state_dict()


def about(threshold: Any = 0.1, clip: Any = None, **model: Any) -> dict[str, Any]:
    """What a checkpoint states beside the weights; `clip` and `model` are changes."""
    tiny = {"class_path": "tests.helpers.tiny.Tiny", "init_args": model}
    config = {"model": tiny, "data": {"clip": CLIP | (clip or {})}}
    return {"config": yaml.safe_dump(config), "threshold": threshold}


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def checkpoint(weights: Any = None, **changes: Any) -> bytes:
    return saved({"state_dict": WEIGHTS if weights is None else weights, "tavlo": about(**changes)})


def with_weight(value: Any, name: Any = "audio.bias") -> bytes:
    return checkpoint(WEIGHTS | {name: value})


def rezipped(change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """The members of a checkpoint, changed and stored again."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(checkpoint())) as old, zipfile.ZipFile(file, "w", method, compresslevel=1) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


def repeated(times: int) -> bytes:
    """A directory that lists one member many times."""
    content = checkpoint()
    start = content.find(b"PK\x01\x02")
    entry = content[start : content.find(b"PK\x01\x02", start + 4)] * times
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, times, times, len(entry), start, 0)
    return content[:start] + entry + end


def legacy(numbers: int) -> bytes:
    """A file from before torch 1.6 whose storage claims more numbers than it has."""
    content = saved({"a": torch.zeros(4)}, _use_new_zipfile_serialization=False)
    return content.replace(b"K\x04Ntq", b"\x8a\x08" + struct.pack("<q", numbers) + b"Ntq")


def claimed(numbers: int) -> bytes:
    """A file whose storage claims more numbers than it has."""
    size = b"\x8a\x08" + struct.pack("<q", numbers)
    return rezipped(lambda name, data: data.replace(b"K\x04t", size + b"t") if name.endswith("data.pkl") else data)


FILES: dict[str, Callable[[], bytes]] = {
    "no bytes": lambda: b"",
    "text": lambda: b"weights",
    "zeros": lambda: bytes(5000),
    "page": lambda: b"<html>" * 99,
    "zip without members": lambda: b"PK\x05\x06" + bytes(18),
    "zip of text": lambda: b"PK\x03\x04" + b"x" * 99,
    "cut": lambda: checkpoint()[:-40],
    "cut in the middle": lambda: checkpoint()[:2000],
    "listed 20,000 times": lambda: repeated(20_000),
    "listed twice": lambda: repeated(2),
    "deflated": lambda: rezipped(lambda name, data: data, zipfile.ZIP_DEFLATED),
    "deflated 256 MiB": lambda: rezipped(
        lambda name, data: bytes(2**28) if "/data/0" in name else data, zipfile.ZIP_DEFLATED
    ),
    "empty records": lambda: rezipped(lambda name, data: b""),
    "no pickle": lambda: rezipped(lambda name, data: b"x"),
    "short records": lambda: rezipped(lambda name, data: data[:3] if "/data/" in name else data),
    "legacy of 20 GiB": lambda: legacy(5 * 2**30),
    "legacy of 2**62": lambda: legacy(2**62),
    "legacy, negative": lambda: legacy(-(2**40)),
    "a list": lambda: saved([1, 2]),
    "a number": lambda: saved(3),
    "a tensor": lambda: saved(torch.zeros(3)),
    "a text": lambda: saved("state_dict"),
    "nothing": lambda: saved(None),
    "pickle": lambda: pickle.dumps({"state_dict": {}}),
    "pickle of protocol 5": lambda: pickle.dumps([1], protocol=5),
    "nested without end": lambda: b"\x80\x02" + b"(" * 100_000 + b".",
    "lists in lists": lambda: saved(nested(100)),
}


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return {"state_dict": value}


WEIGHTS_OF: dict[str, Callable[[], bytes]] = {
    "NaN": lambda: with_weight(torch.tensor([0, 1, math.nan, 0])),
    "infinite": lambda: with_weight(torch.full((4,), math.inf)),
    "minus infinite": lambda: with_weight(torch.full((4,), -math.inf)),
    "NaN of 16 bits": lambda: with_weight(torch.full((4,), math.nan).half()),
    "NaN of bfloat16": lambda: with_weight(torch.full((4,), math.nan).bfloat16()),
    "complex": lambda: with_weight(torch.zeros(4, dtype=torch.complex64)),
    "float8": lambda: with_weight(torch.zeros(4).to(torch.float8_e4m3fn)),
    "sparse": lambda: with_weight(torch.eye(4).to_sparse()),
    "meta": lambda: with_weight(torch.zeros(4, device="meta")),
    "expanded": lambda: with_weight(torch.zeros(1).expand(10**10)),
    "expanded NaN": lambda: with_weight(torch.full((1,), math.nan).expand(4)),
    "overlapping": lambda: with_weight(torch.zeros(17).as_strided((9, 9), (1, 1))),
    "number": lambda: with_weight(3),
    "text": lambda: with_weight("x"),
    "none": lambda: with_weight(None),
    "list": lambda: with_weight([0.0] * 4),
    "name is a number": lambda: with_weight(torch.zeros(4), 3),
    "another name": lambda: with_weight(torch.zeros(4), "other"),
    "another shape": lambda: with_weight(torch.zeros(5)),
    "no axes": lambda: with_weight(torch.tensor(1.0)),
    "none at all": lambda: checkpoint({}),
    "weights are a list": lambda: checkpoint([1]),
    "weights are a text": lambda: checkpoint("a"),
    "weights are a number": lambda: checkpoint(3),
    "weights are a tensor": lambda: checkpoint(torch.zeros(2)),
    "in a table": lambda: checkpoint({"a": WEIGHTS}),
}

OTHER = {
    "text": "3", "true": True, "NaN": math.nan, "infinite": math.inf, "minus infinite": -math.inf, "zero": 0,
    "negative": -1, "list": [3], "map": {"a": 3}, "huge": 10**9, "longer than 64 bits": 10**30,
    "longer than a float": 10**400, "null": None, "date": "2026-01-01", "tiny": 1e-300,
}  # fmt: skip
"""Values in place of a number of a clip."""

MODELS = {
    "width 10**6": {"width": 10**6, "mel_bands": 10**6},
    "width 10**9": {"width": 10**9},
    "width 2**70": {"width": 2**70},
    "width 0": {"width": 0},
    "width -1": {"width": -1},
    "width NaN": {"width": math.nan},
    "width text": {"width": "x"},
    "width 1.5": {"width": 1.5},
    "loss NaN": {"loss_weight": math.nan},
    "loss infinite": {"loss_weight": math.inf},
    "loss 1e300": {"loss_weight": 1e300},
    "loss 10**400": {"loss_weight": 10**400},
    "unknown option": {"other": 1},
    "key is a number": {3: 1},
    "key is null": {None: 1},
}
"""Options of the model."""

CONFIGS = [
    "",
    "3",
    "[1, 2]",
    "model",
    "model: 3",
    "model: []",
    "model: {}",
    "model: {class_path: 3}",
    "model: {class_path: []}",
    "model: {class_path: tests.helpers.tiny.Nobody}",
    "model: {class_path: tests.helpers.clips.write_numbered}",
    "model: {class_path: torch.nn.Linear}",
    "model: {class_path: tests.helpers.tiny.Tiny, init_args: 3}",
    "model: {class_path: tests.helpers.tiny.Tiny, init_args: [1]}",
    "a: &a [*a]",
    "!!python/name:os.system",
    "model: !!python/object/apply:os.getcwd []",
    "][",
    "\0",
    "model: {class_path: '..'}",
    "model: {class_path: .}",
    "model: {class_path: tests.helpers.tiny.Tiny}\ndata: 3",
    "model: {class_path: tests.helpers.tiny.Tiny}\ndata: {clip: 3}",
    "model: {class_path: tests.helpers.tiny.Tiny}\ndata: {clip: {other: 3}}",
    "model: {class_path: tests.helpers.tiny.Tiny}\ndata: {clip: {3: 3}}",
    "model: {class_path: tests.helpers.tiny.Tiny}",
    "model: " + "[" * 5000,
    "model: " + "9" * 6000,
    "model: " + "1:" * 3000 + "1",
]
THRESHOLDS = [
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    10**400,
    -(10**400),
    True,
    "0.1",
    [0.1],
    {"a": 1},
    torch.tensor(0.1),
    1j,
    b"1",
]


def load(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    localizer = load_localizer(path, "cpu", ("tests",))
    assert localizer.threshold is None or math.isfinite(localizer.threshold)


def test_unchanged_checkpoint_is_read(tmp_path: Path) -> None:
    load(tmp_path / "best.ckpt", checkpoint())
    load(tmp_path / "best.ckpt", claimed(5 * 2**30))  # mapped to the file, so that nothing is allocated


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert "best.ckpt" in refusal(lambda: load(tmp_path / "best.ckpt", make()))


@pytest.mark.parametrize("make", WEIGHTS_OF.values(), ids=WEIGHTS_OF)
def test_weights_are_finite_real_and_those_of_the_model(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert "best.ckpt" in refusal(lambda: load(tmp_path / "best.ckpt", make()))


@pytest.mark.parametrize("field", [*CLIP, "frequencies"])
def test_form_of_the_clips_has_ranges(tmp_path: Path, field: str) -> None:
    for name, value in OTHER.items():
        message = refusal(lambda value=value: load(tmp_path / "best.ckpt", checkpoint(clip={field: value})))
        assert "data.clip" in message or "best.ckpt" in message, name


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_options_of_the_model_have_ranges(tmp_path: Path, options: dict[Any, Any]) -> None:
    config = {"model": {"class_path": "tests.helpers.tiny.Tiny", "init_args": options}, "data": {"clip": CLIP}}
    content = saved({"state_dict": WEIGHTS, "tavlo": {"config": yaml.safe_dump(config)}})
    assert "best.ckpt" in refusal(lambda: load(tmp_path / "best.ckpt", content))


def test_configuration_of_a_checkpoint_is_checked(tmp_path: Path) -> None:
    for text in CONFIGS:
        content = saved({"state_dict": WEIGHTS, "tavlo": {"config": text}})
        assert "best.ckpt" in refusal(lambda content=content: load(tmp_path / "best.ckpt", content)), text[:60]
    for odd in (3, "config", [1], {"config": 3}, {"config": b"a"}, {"config": None}, {"config": ["a"]}, {}):
        content = saved({"state_dict": WEIGHTS, "tavlo": odd})
        assert "best.ckpt" in refusal(lambda content=content: load(tmp_path / "best.ckpt", content)), odd


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda value: type(value).__name__)
def test_threshold_is_a_score(threshold: Any) -> None:
    with pytest.raises(CheckpointError, match="threshold"):
        threshold_of({"tavlo": {"threshold": threshold}})


def test_commands_and_functions_refuse_alike(tmp_path: Path) -> None:
    video = write_numbered(tmp_path / "clip.mp4", seconds=0.4, click_s=()).path
    for content in (with_weight(torch.full((4,), math.nan)), checkpoint(threshold=math.nan)):
        (tmp_path / "best.ckpt").write_bytes(content)
        with pytest.raises(TavloError):
            tavlo_pl.localize(video, checkpoint=tmp_path / "best.ckpt", allow_import=("tests",))
        options = ("--data.root", video, "--overlay_videos", "false", "--out", tmp_path / "out")
        outcome = tavlo("predict", "--ckpt_path", tmp_path / "best.ckpt", *options)
        assert outcome.code == 2 and outcome.err.splitlines()[-1].startswith("tavlo predict: "), outcome.err
