"""What ``tavlo predict --save_attention true`` adds: the temporal attention of every block, numbers and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from PIL import Image

from tavlo_pl.callbacks.heatmap_writer import checked_name
from tavlo_pl.types import Batch, Prediction
from tavlo_pl.viz.attention import attention_sheet

PICTURE_HEIGHT_PX = 96


class AttentionWriter(BasePredictionWriter):
    """Writes ``<sample_id>.attention.npz`` and, a block, ``<sample_id>.attention-<block>.png`` for every video.

    The archive holds ``attention`` (L, 1 + hw, T, T) float16 (``AVLocalizer.temporal_attention``) and ``frame_time_s``
    (T,). A video of several windows has them all, with ``.window<n>`` in the names. The picture shows, for the cell
    with the highest score at each segment, the frames it looks at (``viz/attention.py``).

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(write_interval="batch")
        self.folder = Path(folder)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Prediction,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes the windows of a batch.

        Raises:
            ConfigError: the model has no temporal attention, or a name cannot be a file name.
        """
        model: Any = pl_module
        attention = model.temporal_attention(batch["frames"], batch["spectrogram"]).half().cpu().numpy()
        heatmap = prediction["heatmap"].float().cpu().numpy()
        frames = batch["frames"].permute(0, 1, 3, 4, 2).cpu().numpy()
        bad = {clip.index for clip in batch.get("bad_clips", [])}
        self.folder.mkdir(parents=True, exist_ok=True)
        for row, sample_id in enumerate(prediction["sample_id"]):
            if int(prediction["index"][row]) in bad:
                continue
            number, count = map(int, batch["window"][row]) if "window" in batch else (0, 1)
            name = checked_name(sample_id) + (f".window{number}" if count > 1 else "")
            archive = self.folder / f"{name}.attention.npz"
            part = archive.with_name(archive.name + ".part")
            with part.open("wb") as file:
                frame_time_s = prediction["frame_time"][row].cpu().numpy()
                np.savez_compressed(file, attention=attention[row], frame_time_s=frame_time_s)
            part.replace(archive)
            for block, weights in enumerate(attention[row]):
                cells = weights[1:].astype(np.float32)
                sheet = attention_sheet(frames[row], heatmap[row], cells, PICTURE_HEIGHT_PX)
                Image.fromarray(sheet).save(self.folder / f"{name}.attention-{block}.png")
