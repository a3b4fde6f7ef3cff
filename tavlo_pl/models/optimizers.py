"""The default learning rate schedule: linear warm-up, then a cosine to zero, stepped every batch."""

import math
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

OPEN_ENDED_WARMUP_STEPS = 500
"""Warm-up steps of a run whose length is not known in advance (``max_epochs: -1``, or ``max_time`` alone)."""


class WarmupCosine(LRScheduler):
    """Linear warm-up from zero, then a cosine decay to zero; a constant after warm-up if the length is unknown.

    Args:
        optimizer: the optimizer whose learning rates are scaled.
        warmup: fraction of all steps in which the learning rate rises, in [0, 1]; the first step has a rate above zero.
        total_steps: number of optimizer steps of the run; None until `set_total_steps` is called.
        last_epoch: index of the last step, -1 before the first.

    Raises:
        ValueError: ``warmup`` is outside [0, 1].
    """

    def __init__(
        self, optimizer: Optimizer, warmup: float = 0.05, total_steps: int | None = None, last_epoch: int = -1
    ) -> None:
        if not 0 <= warmup <= 1:
            raise ValueError(f"warmup is {warmup}; give a fraction of all steps, from 0 to 1")
        self.warmup = warmup
        self.total_steps = total_steps
        super().__init__(optimizer, last_epoch)

    def set_total_steps(self, total_steps: float) -> None:
        """Sets the length of the run and the learning rate of the current step.

        Args:
            total_steps: ``trainer.estimated_stepping_batches``; infinite if the length of the run is unknown.
        """
        self.total_steps = max(1, int(total_steps)) if math.isfinite(total_steps) else None
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def to_lightning(self, total_steps: float) -> dict[str, Any]:
        """Returns what ``configure_optimizers`` returns: a step every batch.

        Args:
            total_steps: see `set_total_steps`; used unless the length is set already.
        """
        if self.total_steps is None:
            self.set_total_steps(total_steps)
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": self, "interval": "step"}}

    def state_dict(self) -> dict[str, Any]:
        """The state without the length of the run: a resumed run may be longer."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}

    def get_lr(self) -> list[float | Tensor]:
        """Learning rate of each parameter group at the current step."""
        factor = self.factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]

    def factor(self, step: int) -> float:
        """Learning rate of a step divided by the peak, in [0, 1].

        Args:
            step: index of the optimizer step, from 0; a step past the end has rate 0.
        """
        total = self.total_steps
        rise = OPEN_ENDED_WARMUP_STEPS if total is None else max(1, round(self.warmup * total))
        if step < rise:
            return (step + 1) / rise
        if total is None:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))
