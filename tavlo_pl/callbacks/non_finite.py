"""Ends a training whose loss or gradient is no number any more, before it reaches the weights."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from tavlo_pl.errors import RunFailedError
from tavlo_pl.types import Batch

NAMED = 4
"""So many clips of the batch are named."""


class NonFiniteGuard(Callback):
    """Raises before the optimiser makes a step with NaN or infinity.

    The gradient tells it on all processes alike, since they share it, so that all of them end. With 16-bit floats its
    overflow is meant, and Lightning's scaler passes over such a step: there the loss alone is looked at.
    """

    def __init__(self) -> None:
        self._clips: list[str] = []
        self._loss: Tensor | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Notes the clips, for the message."""
        self._clips = batch["sample_id"]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Notes the loss."""
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Looks at loss and gradient.

        Raises:
            RunFailedError: one of them is not finite.
        """
        assert self._loss is not None, "a step follows a loss"
        numbers = [self._loss]
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            numbers.append(get_total_norm(p.grad for p in pl_module.parameters() if p.grad is not None))
        if trainer.strategy.reduce_boolean_decision(all(bool(number.isfinite()) for number in numbers)):
            return
        loss = float(self._loss)
        what = "the gradient is not finite" if self._loss.isfinite() else f"the loss is {loss:g}"
        named = ", ".join(self._clips[:NAMED]) + (", ..." if len(self._clips) > NAMED else "")
        raise RunFailedError(
            f"{what} at step {trainer.global_step}, epoch {trainer.current_epoch}, on clips {named}; the step "
            "was not made: go on with --ckpt_path last and a lower --model.init_args.lr, or look at these clips"
        )
