"""Stores in ``run.json`` which clips a run used."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from tavlo_pl.run import provenance


class DataFingerprint(Callback):
    """Adds the fingerprint of the clips of each stage to ``run.json``.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stores the fingerprints; Lightning calls the ``setup`` of the data module before this one."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            provenance.record(self.folder, data=data.fingerprints())
