"""Rebuilds the training loader of a resumed run."""

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override


class FreshTrainLoader(Callback):
    """Makes Lightning build the training loader again after a resumed run has restored its position.

    ``configure_optimizers`` reads ``estimated_stepping_batches``, for which Lightning 2.6 builds the training loader
    before the position is restored; that loader starts at the first clip of the epoch. This is one of the two files
    that use private names of Lightning.
    """

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drops the loader of a resumed run; Lightning builds another one at the start of the epoch."""
        if trainer.ckpt_path is not None:
            trainer.fit_loop._combined_loader = None
