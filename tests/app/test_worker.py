"""The process in which the work on a video runs, with the packaged checkpoints."""

import pickle
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tavlo_pl.app import tasks
from tavlo_pl.app.worker import run
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tests.helpers.clips import write_numbered

PACKAGED = ("world", "real")


@pytest.mark.parametrize("name", PACKAGED)
def test_localizer_can_be_sent_to_a_process(name: str) -> None:
    localizer = load_localizer(packaged_checkpoint().with_name(f"{name}.safetensors"), "cpu")
    sent = pickle.loads(pickle.dumps(localizer)).model.state_dict()
    assert all((sent[key] == value).all() for key, value in localizer.model.state_dict().items())


def test_maps_of_the_process_are_those_of_the_model(tmp_path: Path) -> None:
    localizer = load_localizer(packaged_checkpoint().with_name("world.safetensors"), "cpu")
    video = write_numbered(tmp_path / "clip.mp4", seconds=1.0).path
    options = (video, "clip.mp4", 4.0, "squash")
    expected = localizer.localize(*options)
    found = run(tasks.localize, tmp_path, (localizer, *options), lambda _: None, Event(), video)
    assert np.array_equal(found.heatmap, expected.heatmap)
