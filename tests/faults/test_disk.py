"""A disk that is full, and a place that may not be written to."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from tests.faults.conftest import Undisturbed, predict_words, score_words, shard_words
from tests.helpers.cli import tavlo
from tests.helpers.faults import (
    assert_same_files,
    assert_same_weights,
    contents,
    interrupt,
    read_only,
    results_of,
    sentence,
    small_disk,
    small_files,
    used_kilobytes,
)
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


def assert_nothing_half(folder: Path) -> None:
    """No file is half there, and every checkpoint can be read."""
    assert not list(folder.rglob("*.part"))
    for path in folder.rglob("*.ckpt"):
        torch.load(path, weights_only=True)


def assert_same_end(out: Path, undisturbed: Undisturbed) -> None:
    assert_same_weights(out, undisturbed.folder)
    assert results_of(out) == undisturbed.results


@pytest.mark.parametrize(
    ("step", "kept"),
    [(1, []), (6, ["best.ckpt", "last.ckpt"])],
    ids=["first-checkpoint", "later"],
)
def test_a_fit_on_a_full_disk_goes_on_when_there_is_room(
    undisturbed: Undisturbed, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, kept: list[str]
) -> None:
    out = tmp_path / "disk" / "out"
    words = ("fit", "-c", tiny_config(world, tmp_path), "--out", out, "--ckpt_path", "last")
    with small_disk(tmp_path / "disk", 10_000) as resize:
        with monkeypatch.context() as patch:
            interrupt(patch, "training_step", step, lambda: resize(used_kilobytes(out)))
            full = tavlo(*words)
        assert full.code == 1, full.err
        assert "No space left on device; make room" in sentence(full)
        assert_nothing_half(out)
        assert sorted(path.name for path in out.rglob("*.ckpt")) == kept
        resize(10_000)
        assert tavlo(*words).code == 0
        assert_same_end(out, undisturbed)


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(
    undisturbed: Undisturbed, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ("fit", "-c", tiny_config(world, tmp_path, logger=False), "--out", out, "--ckpt_path", "last")
    with monkeypatch.context() as patch, ExitStack() as limit:
        interrupt(patch, "training_step", 6, lambda: limit.enter_context(small_files(10_000)))
        full = tavlo(*words)
    assert full.code == 1
    assert "last.ckpt: File too large; make room" in sentence(full)
    assert_nothing_half(out)
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    assert tavlo(*words).code == 0
    assert_same_end(out, undisturbed)


@pytest.mark.parametrize("verb", ["predict", "score", "shard"])
def test_any_other_verb_on_a_full_disk_is_completed_by_the_same_command(
    request: pytest.FixtureRequest, undisturbed: Undisturbed, world: Path, tmp_path: Path, verb: str
) -> None:
    out = tmp_path / "disk" / "out"
    words, fixture = commands(request, undisturbed, world, out)[verb]
    whole: Path = request.getfixturevalue(fixture)
    with small_disk(tmp_path / "disk", half_of(whole)) as resize:
        full = tavlo(*words)
        assert full.code == 1, full.err
        assert "No space left on device; make room" in sentence(full)
        assert_nothing_half(out)
        assert contents(out).keys() < contents(whole).keys()
        resize(10_000)
        assert tavlo(*words).code == 0
        assert_same_files(out, whole)


def commands(
    request: pytest.FixtureRequest, undisturbed: Undisturbed, world: Path, out: Path
) -> dict[str, tuple[tuple[object, ...], str]]:
    """Words, and the fixture that holds what an undisturbed run left; by verb."""
    return {
        "predict": (predict_words(undisturbed, world, out), "maps"),
        "score": (score_words(request.getfixturevalue("maps"), world, out), "scores"),
        "shard": (shard_words(world, out), "shards"),
    }


def half_of(folder: Path) -> int:
    """Kilobytes on the disk of half of what a folder holds, in whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4 for path in folder.rglob("*") if path.is_file()) // 2


@pytest.mark.parametrize("verb", ["fit", "test", "predict", "score", "shard"])
def test_a_place_that_takes_nothing_is_a_mistake_told_in_a_sentence(
    undisturbed: Undisturbed, maps: Path, world: Path, tmp_path: Path, verb: str
) -> None:
    checkpoint = undisturbed.folder / "checkpoints" / "best.ckpt"

    def words(out: Path) -> tuple[object, ...]:
        return {
            "fit": ("fit", "-c", tiny_config(world, tmp_path), "--out", out),
            "test": ("test", "--ckpt_path", checkpoint, "--out", out),
            "predict": predict_words(undisturbed, world, out),
            "score": score_words(maps, world, out),
            "shard": shard_words(world, out),
        }[verb]

    (tmp_path / "file").write_text("")
    refused = tavlo(*words(tmp_path / "file" / "out"))
    assert refused.code == 2, refused.err
    assert "Not a directory" in sentence(refused)
    (tmp_path / "closed").mkdir()
    with read_only(tmp_path / "closed"):
        refused = tavlo(*words(tmp_path / "closed" / "out"))
    assert refused.code == 2, refused.err
    assert str(tmp_path / "closed") in sentence(refused)
    assert not any((tmp_path / "closed").iterdir())
