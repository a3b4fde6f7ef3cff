"""What all tests share: one thread a process, and a tiny world made once a session."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import tavlo


def _use_one_thread() -> None:
    """OpenMP's threads do not survive a fork: a child that uses more than one after its parent did waits for ever."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


os.register_at_fork(after_in_child=_use_one_thread)  # some tests, and commands that they call, raise the number


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Some commands set the number of threads of their process, and results depend on it in their last digits."""
    yield
    _use_one_thread()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A procedural world of 8 training clips and one clip of each kind to validate and to test, 2 s each."""
    folder = tmp_path_factory.mktemp("data") / "world"
    sizes = "--train_clips 8 --clips_per_scenario 1 --val_clips_per_scenario 1 --frames_annotated 2 --workers 1"
    form = "--duration_s 2 --frame_rate 5 --width 64 --height 64"
    outcome = tavlo("data", "synth", "--out", folder, *sizes.split(), *form.split())
    assert outcome.code == 0, outcome.err
    return folder
