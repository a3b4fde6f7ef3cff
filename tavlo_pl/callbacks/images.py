"""Logs an image with any logger of Lightning."""

from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from tavlo_pl.io.atomic import atomic_path


def log_image(logger: Logger, tag: str, image: np.ndarray, step: int) -> None:
    """Logs an image; a logger without images, such as ``CSVLogger``, gets a PNG file in its folder.

    Args:
        logger: of the Trainer.
        tag: name of the image, such as ``val/gallery``; the file is ``val_gallery/<step>.png``.
        image: (height, width, 3) uint8 RGB.
        step: of the training.
    """
    match logger:
        case TensorBoardLogger():
            logger.experiment.add_image(tag, image, step, dataformats="HWC")
        case WandbLogger():
            logger.log_image(tag, [Image.fromarray(image)], step)
        case MLFlowLogger():
            logger.experiment.log_image(logger.run_id, image, artifact_file=f"{_folder(tag)}/{step:07}.png")
        case _:
            folder = logger.log_dir or logger.save_dir
            if folder is not None:
                path = Path(folder, _folder(tag), f"{step:07}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as part:
                    Image.fromarray(image).save(part, format="png")


def _folder(tag: str) -> str:
    return tag.replace("/", "_")
