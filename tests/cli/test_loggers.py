"""Loggers by Lightning's own options, offline: scalars and the gallery of heatmaps reach each."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config


def fit(world: Path, folder: Path, logger: str, **options: object) -> None:
    """Trains the tiny model for an epoch with a logger."""
    named = [word for name, value in options.items() for word in (f"--trainer.logger.{name}", value)]
    config = tiny_config(world, folder, max_epochs=1)
    outcome = tavlo("fit", "-c", config, "--out", folder / "run", "--trainer.logger", logger, *named)
    assert outcome.code == 0, outcome.err
    assert not list((folder / "run").glob("events.out.tfevents.*")), "it replaces TensorBoard"


def assert_gallery(folder: Path) -> Path:
    """Asserts that a folder has one image, the gallery after the validation, and returns its path."""
    (path,) = folder.rglob("*.png")
    image = np.asarray(Image.open(path))
    assert image.ndim == 3 and image.std() > 0
    return path


def test_csv_logger_has_scalars_and_gallery(world: Path, tmp_path: Path) -> None:
    fit(world, tmp_path, "CSVLogger", save_dir=tmp_path / "log")
    with next((tmp_path / "log").rglob("metrics.csv")).open() as file:
        names = set(next(csv.reader(file)))
    assert {"val/loss", "val/ciou_mean", "step"} <= names
    assert assert_gallery(tmp_path / "log").parent.name == "val_gallery"


@pytest.mark.slow
def test_wandb_has_the_gallery_offline(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(world, tmp_path, "WandbLogger", save_dir=tmp_path, offline="true", project="tavlo")
    wandb.finish()
    assert "gallery" in assert_gallery(tmp_path / "wandb").name


@pytest.mark.slow
def test_mlflow_has_the_gallery_in_a_local_store(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    fit(world, tmp_path, "MLFlowLogger", tracking_uri=f"file:{tmp_path / 'mlruns'}", experiment_name="tavlo")
    assert assert_gallery(tmp_path / "mlruns").parent.name == "val_gallery"
    assert list((tmp_path / "mlruns").rglob("metrics/val/ciou_mean"))


def test_checkpoint_cannot_name_a_logger(world: Path, tmp_path: Path) -> None:
    """The logger of a run is not part of its checkpoint, and one that is put there is ignored."""
    import torch
    import yaml

    fit(world, tmp_path, "CSVLogger", save_dir=tmp_path / "log")
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    config = yaml.safe_load(best["tavlo"]["config"])
    assert "trainer" not in config
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path / "bad")}}
    best["tavlo"]["config"] = yaml.safe_dump(config | {"trainer": {"logger": logger}})
    torch.save(best, tmp_path / "bad.ckpt")
    outcome = tavlo("validate", "-c", tmp_path / "tiny.yaml", "--ckpt_path", tmp_path / "bad.ckpt")
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "bad").exists()
