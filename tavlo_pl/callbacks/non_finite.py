"""Ends training before a loss or gradient that is not finite changes the weights."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from typing_extensions import override

from tavlo_pl.errors import RunFailedError
from tavlo_pl.types import Batch

CLIPS_NAMED = 4
"""Number of clips of the batch that the message names."""


class NonFiniteGuard(Callback):
    """Raises an error before the optimizer makes a step with NaN or infinity.

    All processes have the same gradient and end together. In 16-bit mixed precision the gradient may overflow, and
    Lightning's gradient scaler skips such a step; only the loss is checked there.
    """

    def __init__(self) -> None:
        self._clips: list[str] = []
        self._loss: Tensor | None = None

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Stores the names of the clips, for the message."""
        self._clips = batch["sample_id"]

    @override
    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Stores the loss."""
        self._loss = loss.detach()

    @override
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Checks loss and gradient.

        Raises:
            RunFailedError: one of them is not finite.
        """
        assert self._loss is not None, "a step follows a loss"
        numbers = [self._loss]
        precision = trainer.precision_plugin
        if not (isinstance(precision, MixedPrecision) and precision.scaler is not None):
            numbers.append(get_total_norm(p.grad for p in pl_module.parameters() if p.grad is not None))
        if trainer.strategy.reduce_boolean_decision(all(bool(number.isfinite()) for number in numbers)):
            return
        loss = float(self._loss)
        problem = "the gradient is not finite" if self._loss.isfinite() else f"the loss is {loss:g}"
        named = ", ".join(self._clips[:CLIPS_NAMED]) + (", ..." if len(self._clips) > CLIPS_NAMED else "")
        raise RunFailedError(
            f"{problem} at step {trainer.global_step}, epoch {trainer.current_epoch}, on clips {named}; the step was "
            "not made: check these clips and resume with --ckpt_path last, or start again with a lower learning rate"
        )
