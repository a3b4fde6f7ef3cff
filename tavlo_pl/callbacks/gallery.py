"""A fixed gallery of heatmaps in TensorBoard: the same clips after every validation."""

from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from tavlo_pl.types import Batch
from tavlo_pl.viz.overlay import clip_strip, contact_sheet

PICTURE_HEIGHT_PX = 96
CLIP_GAP_PX = 10
TAG = "val/gallery"


class Gallery(Callback):
    """Draws the first clips of the validation set: frames above, the same frames under their heatmap below.

    The model only hands its maps over (``validation_step`` returns ``{"heatmap": (B, T, h, w)}``). They are
    drawn here, once a validation, by the first process, which shows the first clips of its own share.

    Args:
        clips: number of clips; those that cannot be read are passed over.
    """

    def __init__(self, clips: int = 8) -> None:
        self.clips = clips
        self._strips: dict[str, np.ndarray] = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draws the clips of a batch, as long as the gallery has room."""
        if _logger(trainer) is None:
            return
        bad = {clip.index for clip in batch.get("bad_clips", [])}
        for row, sample_id in enumerate(batch["sample_id"]):
            if len(self._strips) >= self.clips:
                return
            # A clip with two annotated frames in one segment comes twice; the gallery shows it once.
            if sample_id not in self._strips and int(batch["index"][row]) not in bad:
                self._strips[sample_id] = draw_row(batch, outputs["heatmap"], row)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the gallery under the number of training steps."""
        logger = _logger(trainer)
        if logger is not None and self._strips:
            sheet = contact_sheet([[strip] for strip in self._strips.values()], CLIP_GAP_PX)
            logger.experiment.add_image(TAG, sheet, trainer.global_step, dataformats="HWC")
        self._strips.clear()


def draw_row(batch: Batch, heatmap: Tensor, row: int) -> np.ndarray:
    """The strip of one clip of a batch, with the ground truth's outline where there is one.

    Args:
        batch: see ``tavlo_pl.types``.
        heatmap: (B, T, h, w) raw scores.
        row: which clip.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    masks: dict[int, np.ndarray] = {}
    if "targets" in batch:
        targets = batch["targets"]
        for sample in (targets.row == row).nonzero()[:, 0].tolist():
            segment, mask = int(targets.segment[sample]), targets.mask[sample].cpu().numpy()
            masks[segment] = masks[segment] | mask if segment in masks else mask
    frames = batch["frames"][row].permute(0, 2, 3, 1).cpu().numpy()
    return clip_strip(frames, heatmap[row].float().cpu().numpy(), masks, PICTURE_HEIGHT_PX)


def _logger(trainer: Trainer) -> TensorBoardLogger | None:
    """Where the gallery goes, on the first process of a real validation."""
    if trainer.sanity_checking or not trainer.is_global_zero:
        return None
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
