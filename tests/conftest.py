"""What all tests share: one thread a process, and a tiny world made once a session."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: its threads do not survive a fork

from pathlib import Path

import pytest

from tests.helpers.cli import tavlo


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A procedural world of 8 training clips and one clip of each kind to validate and to test, 2 s each."""
    folder = tmp_path_factory.mktemp("data") / "world"
    sizes = "--train_clips 8 --clips_per_scenario 1 --val_clips_per_scenario 1 --frames_annotated 2 --workers 1"
    form = "--duration_s 2 --frame_rate 5 --width 64 --height 64"
    outcome = tavlo("data", "synth", "--out", folder, *sizes.split(), *form.split())
    assert outcome.code == 0, outcome.err
    return folder
