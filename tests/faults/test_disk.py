"""Full disks and folders without write permission."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from tests.faults.conftest import Undisturbed, predict_args, score_args, shard_args
from tests.helpers.cli import tavlo
from tests.helpers.faults import (
    assert_same_files,
    assert_same_weights,
    contents,
    error_line,
    interrupt,
    read_only,
    results_of,
    small_disk,
    small_files,
    used_kilobytes,
)
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


def assert_no_partial_files(folder: Path) -> None:
    """Asserts that there are no partial files and that every checkpoint can be read."""
    assert not list(folder.rglob("*.part"))
    for path in folder.rglob("*.ckpt"):
        torch.load(path, weights_only=True)


def assert_same_end(out: Path, undisturbed: Undisturbed) -> None:
    assert_same_weights(out, undisturbed.folder)
    assert results_of(out) == undisturbed.results


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        pytest.param(1, [], id="first-checkpoint", marks=pytest.mark.slow),
        pytest.param(6, ["best.ckpt", "last.ckpt"], id="later"),
    ],
)
def test_fit_on_a_full_disk_resumes_with_free_space(
    undisturbed: Undisturbed, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, kept: list[str]
) -> None:
    out = tmp_path / "disk" / "out"
    args = ("fit", "-c", tiny_config(world, tmp_path), "--out", out, "--ckpt_path", "last")
    with small_disk(tmp_path / "disk", 10_000) as resize:
        with monkeypatch.context() as patch:
            interrupt(patch, "training_step", step, lambda: resize(used_kilobytes(out)))
            full = tavlo(*args)
        assert full.code == 1, full.err
        assert "No space left on device; free some space" in error_line(full)
        assert_no_partial_files(out)
        assert sorted(path.name for path in out.rglob("*.ckpt")) == kept
        resize(10_000)
        assert tavlo(*args).code == 0
        assert_same_end(out, undisturbed)


@pytest.mark.slow
def test_unfinished_checkpoint_keeps_the_previous_one(
    undisturbed: Undisturbed, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ("fit", "-c", tiny_config(world, tmp_path, logger=False), "--out", out, "--ckpt_path", "last")
    with monkeypatch.context() as patch, ExitStack() as limit:
        interrupt(patch, "training_step", 6, lambda: limit.enter_context(small_files(10_000)))
        full = tavlo(*args)
    assert full.code == 1
    assert "last.ckpt: File too large; free some space" in error_line(full)
    assert_no_partial_files(out)
    assert torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    assert tavlo(*args).code == 0
    assert_same_end(out, undisturbed)


@pytest.mark.parametrize("command", ["predict", "score", "shard"])
def test_other_commands_on_a_full_disk_can_be_repeated(
    request: pytest.FixtureRequest, undisturbed: Undisturbed, world: Path, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "disk" / "out"
    args, fixture = commands(request, undisturbed, world, out)[command]
    whole: Path = request.getfixturevalue(fixture)
    with small_disk(tmp_path / "disk", half_of(whole)) as resize:
        full = tavlo(*args)
        assert full.code == 1, full.err
        assert "No space left on device; free some space" in error_line(full)
        assert_no_partial_files(out)
        assert contents(out).keys() < contents(whole).keys()
        resize(10_000)
        assert tavlo(*args).code == 0
        assert_same_files(out, whole)


def commands(
    request: pytest.FixtureRequest, undisturbed: Undisturbed, world: Path, out: Path
) -> dict[str, tuple[tuple[object, ...], str]]:
    """Arguments, and the fixture with the output of an undisturbed run, by command."""
    return {
        "predict": (predict_args(undisturbed, world, out), "maps"),
        "score": (score_args(request.getfixturevalue("maps"), world, out), "scores"),
        "shard": (shard_args(world, out), "shards"),
    }


def half_of(folder: Path) -> int:
    """Half of the disk space that a folder uses, in kilobytes and whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4 for path in folder.rglob("*") if path.is_file()) // 2


@pytest.mark.parametrize("command", ["fit", "test", "predict", "score", "shard"])
def test_unwritable_folder_is_a_user_error(
    undisturbed: Undisturbed, maps: Path, world: Path, tmp_path: Path, command: str
) -> None:
    checkpoint = undisturbed.folder / "checkpoints" / "best.ckpt"

    def args(out: Path) -> tuple[object, ...]:
        return {
            "fit": ("fit", "-c", tiny_config(world, tmp_path), "--out", out),
            "test": ("test", "--ckpt_path", checkpoint, "--out", out),
            "predict": predict_args(undisturbed, world, out),
            "score": score_args(maps, world, out),
            "shard": shard_args(world, out),
        }[command]

    (tmp_path / "file").write_text("")
    refused = tavlo(*args(tmp_path / "file" / "out"))
    assert refused.code == 2, refused.err
    assert "Not a directory" in error_line(refused)
    (tmp_path / "closed").mkdir()
    with read_only(tmp_path / "closed"):
        refused = tavlo(*args(tmp_path / "closed" / "out"))
    assert refused.code == 2, refused.err
    assert str(tmp_path / "closed") in error_line(refused)
    assert not any((tmp_path / "closed").iterdir())
