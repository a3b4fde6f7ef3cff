"""A model is restored from its checkpoint alone, by Lightning and by `tavlo_pl.load`."""

from pathlib import Path

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.models.tavlo import TAVLO
from tests.helpers.cli import tavlo
from tests.helpers.run import data_config

MODEL = {
    "class_path": "tavlo_pl.models.tavlo.TAVLO",
    "init_args": {
        "visual": {"class_path": "tavlo_pl.nn.visual.ShuffleNet"},
        "audio": {"class_path": "tavlo_pl.nn.audio.SegmentCNN", "init_args": {"width": 24, "channels": [8]}},
        "width": 24,
        "attention": {"num_heads": 4, "temporal_width": 8},
        "objective": {"num_silent": 2},
    },
}


@pytest.fixture(scope="module")
def checkpoint(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``best.ckpt`` of a short run of a small TAVLO."""
    folder = tmp_path_factory.mktemp("hyperparameters")
    trainer = {
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 1,
        "limit_train_batches": 2,
    }
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump({"model": MODEL, "data": data_config(world), "trainer": trainer}))
    outcome = tavlo("fit", "-c", config, "--out", folder / "run")
    assert outcome.code == 0, outcome.err
    return folder / "run" / "checkpoints" / "best.ckpt"


def test_checkpoint_holds_plain_hyperparameters(checkpoint: Path) -> None:
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert stored["width"] == 24 and stored["attention"]["num_heads"] == 4 and stored["objective"]["num_silent"] == 2
    assert stored["visual"]["class_path"].endswith("ShuffleNet")


@pytest.mark.parametrize("loader", ["lightning", "tavlo_pl"])
def test_checkpoint_restores_the_model(checkpoint: Path, loader: str) -> None:
    made = TAVLO.load_from_checkpoint(checkpoint) if loader == "lightning" else tavlo_pl.load(checkpoint, device="cpu")
    assert isinstance(made, TAVLO) and made.attention.config.num_heads == 4
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in made.state_dict().items())


def test_load_returns_the_model_in_evaluation_mode(checkpoint: Path) -> None:
    assert not tavlo_pl.load(checkpoint).training
