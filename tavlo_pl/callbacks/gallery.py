"""Gallery of heatmaps in the logger: the same clips after every validation."""

from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from tavlo_pl.callbacks.images import log_image
from tavlo_pl.types import Batch
from tavlo_pl.viz.overlay import clip_strip, contact_sheet

IMAGE_HEIGHT_PX = 96
CLIP_GAP_PX = 10
TAG = "val/gallery"


class Gallery(Callback):
    """Draws the first clips of the validation set: a row of frames above the same frames with their heatmap.

    ``validation_step`` of the model returns ``{"heatmap": (B, T, h, w)}``. The first process draws the first clips of
    its own share once per validation.

    Args:
        clips: number of clips; unreadable ones are skipped.
    """

    def __init__(self, clips: int = 8) -> None:
        self.clips = clips
        self._strips: dict[str, np.ndarray] = {}

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draws the clips of a batch until the gallery is full."""
        if not _draws(trainer):
            return
        bad = {clip.index for clip in batch.get("bad_clips", [])}
        for row, sample_id in enumerate(batch["sample_id"]):
            if len(self._strips) >= self.clips:
                return
            # A clip with two annotated frames in one segment occurs twice in the data; the gallery shows it once.
            if sample_id not in self._strips and int(batch["index"][row]) not in bad:
                self._strips[sample_id] = draw_row(batch, outputs["heatmap"], row)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the gallery at the current training step."""
        if _draws(trainer) and self._strips:
            sheet = contact_sheet([[strip] for strip in self._strips.values()], CLIP_GAP_PX)
            for logger in trainer.loggers:
                log_image(logger, TAG, sheet, trainer.global_step)
        self._strips.clear()


def draw_row(batch: Batch, heatmap: Tensor, row: int) -> np.ndarray:
    """Draws one clip of a batch, with the outline of the ground truth where there is one.

    Args:
        batch: see ``tavlo_pl.types``.
        heatmap: (B, T, h, w) raw scores.
        row: row of the clip in the batch.

    Returns:
        (height, width, 3) uint8 RGB image.
    """
    masks: dict[int, np.ndarray] = {}
    if "targets" in batch:
        targets = batch["targets"]
        for sample in (targets.row == row).nonzero()[:, 0].tolist():
            segment, mask = int(targets.segment[sample]), targets.mask[sample].cpu().numpy()
            masks[segment] = masks[segment] | mask if segment in masks else mask
    frames = batch["frames"][row].permute(0, 2, 3, 1).cpu().numpy()
    return clip_strip(frames, heatmap[row].float().cpu().numpy(), masks, IMAGE_HEIGHT_PX)


def _draws(trainer: Trainer) -> bool:
    """Whether images are logged: on the first process, with a logger, outside the sanity check."""
    return trainer.is_global_zero and bool(trainer.loggers) and not trainer.sanity_checking
