"""Results of undisturbed runs, for comparison with those of disturbed runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.cli import tavlo
from tests.helpers.faults import results_of
from tests.helpers.run import tiny_config


@dataclass(frozen=True)
class Undisturbed:
    """A finished fit.

    Attributes:
        folder: run folder.
        results: results of its test without times and paths.
    """

    folder: Path
    results: dict[str, Any]


@pytest.fixture(scope="session")
def undisturbed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A fit of two epochs of four steps."""
    folder = tmp_path_factory.mktemp("undisturbed")
    outcome = tavlo("fit", "-c", tiny_config(world, folder), "--out", folder / "run")
    assert outcome.code == 0, outcome.err
    return Undisturbed(folder / "run", results_of(folder / "run"))


@pytest.fixture(scope="session")
def maps(undisturbed: Undisturbed, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of predict for the test videos, with overlay videos."""
    folder = tmp_path_factory.mktemp("maps") / "out"
    assert tavlo(*predict_args(undisturbed, world, folder)).code == 0
    return folder


@pytest.fixture(scope="session")
def scores(maps: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of score for these maps."""
    folder = tmp_path_factory.mktemp("scores") / "out"
    assert tavlo(*score_args(maps, world, folder)).code == 0
    return folder


@pytest.fixture(scope="session")
def shards(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of the training clips."""
    folder = tmp_path_factory.mktemp("shards") / "out"
    assert tavlo(*shard_args(world, folder)).code == 0
    return folder


def predict_args(undisturbed: Undisturbed, world: Path, out: Path) -> tuple[object, ...]:
    """``tavlo predict`` of the test videos, with overlay videos."""
    checkpoint = undisturbed.folder / "checkpoints" / "best.ckpt"
    return ("predict", "--ckpt_path", checkpoint, "--data.root", world / "test" / "video", "--out", out)


def score_args(maps: Path, world: Path, out: Path) -> tuple[object, ...]:
    """``tavlo score`` of these maps."""
    where = ("--annotations", world / "test", "--predictions", maps, "--out", out / "results.json")
    return ("score", "--dataset", "avatar", *where, "--frame_rate", 5, "--size", 32)


def shard_args(world: Path, out: Path) -> tuple[object, ...]:
    """``tavlo data shard`` of the training clips, two per file."""
    source = (
        f"--source tavlo_pl.data.datasets.VGGSound --source.root {world / 'train'} --source.csv null --source.ids null"
    )
    form = f"--segments 3 --duration_s 2 --image_size 32 --clips_per_shard 2 --workers 1 --out {out}"
    return ("data", "shard", *f"{source} {form}".split())
