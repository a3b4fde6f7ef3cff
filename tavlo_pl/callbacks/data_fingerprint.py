"""Notes in ``run.json`` which clips a run was made with."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from tavlo_pl.run import provenance


class DataFingerprint(Callback):
    """Adds the fingerprint of each stage's clips, once they are read.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning has set the data module up just before."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            provenance.note(self.folder, data=data.fingerprints())
