"""Images reach every logger."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, WandbLogger
from PIL import Image

from tavlo_pl.callbacks.images import log_image

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def stand_in(kind: type[Logger], **values: Any) -> Any:
    """A logger of a class without its constructor, which needs a package."""
    logger = kind.__new__(kind)
    vars(logger).update(values)
    return logger


def test_image_reaches_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    logger, log = stand_in(WandbLogger), Mock()
    monkeypatch.setattr(WandbLogger, "log_image", log)
    log_image(logger, "val/gallery", IMAGE, 7)
    (tag, (image,), step), _ = log.call_args
    assert (tag, step) == ("val/gallery", 7) and (np.asarray(image) == IMAGE).all()


def test_image_reaches_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Mock()
    monkeypatch.setattr(MLFlowLogger, "experiment", client)
    monkeypatch.setattr(MLFlowLogger, "run_id", "run")
    log_image(stand_in(MLFlowLogger), "val/gallery", IMAGE, 7)
    client.log_image.assert_called_once_with("run", IMAGE, artifact_file="val_gallery/0000007.png")


def test_image_is_a_file_beside_other_loggers(tmp_path: Path) -> None:
    log_image(CSVLogger(tmp_path, name="", version=""), "val/gallery", IMAGE, 7)
    (path,) = tmp_path.rglob("*.png")
    assert path == tmp_path / "val_gallery" / "0000007.png"
    assert (np.asarray(Image.open(path)) == IMAGE).all()
