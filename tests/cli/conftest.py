"""A finished run of the tiny model."""

from pathlib import Path

import pytest

from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished ``fit`` of two epochs; tests do not change its checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    outcome = tavlo("fit", "-c", tiny_config(world, folder), "--out", folder / "out")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == outcome.out.splitlines()[-1] == f"run folder: {folder / 'out'}"
    return folder / "out"
