"""``best.ckpt`` and ``last.ckpt``: the weights that are best on the validation clips, and the state to resume from.

A run may be stopped at any moment (Ctrl-C, a signal of a scheduler, an exception). Where possible, a stop waits for the
end of the batch: the checkpoint then holds the exact state after a whole step, and a run that resumes from it reaches
the same weights as one that was never stopped. Otherwise the state before the failed step is saved, or the previous
checkpoint stays.
"""

import math
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.run.exit import REQUEUE, StopSignals, TrainingStopped

SAVE_EVERY_S = 1800.0
"""Interval in seconds of saving within an epoch, so that a power cut costs at most half an hour."""

DEFAULT_MONITORS = ("val/ciou_mean", "val/loss")
"""Metrics of which the first one that is logged chooses ``best.ckpt`` by default."""

VALIDATION_PROGRESS = "epoch_loop.val_loop.batch_progress"
"""Key of the validation loop's progress in a checkpoint's ``loops.fit_loop`` (Lightning 2.6)."""


class RunCheckpoints(Checkpoint):
    """Writes ``best.ckpt`` after each validation that is better than all before, and ``last.ckpt`` to resume from.

    ``last.ckpt`` is written at the end of each epoch, before validation, every half hour, and when the run is stopped.
    This callback replaces Lightning's ModelCheckpoint, whose name and state depend on a metric that must be given
    before it is known whether the validation clips are annotated.

    Args:
        folder: folder of the checkpoints.
        config: YAML text of the model and data parts of the configuration, stored in each checkpoint.
        version: of the package, stored with the configuration.
        signals: records the signals that ask the run to stop.
        monitor: metric that chooses ``best.ckpt``: the smallest value if its name contains ``loss``, else the largest.
            None takes ``val/ciou_mean`` where the validation clips are annotated, else ``val/loss``.
    """

    def __init__(
        self, folder: Path, config: str, version: str, signals: StopSignals, monitor: str | None = None
    ) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.version = version
        self.signals = signals
        self.monitor = monitor
        self.best: dict[str, float] = {}
        self._threshold: tuple[int, float | None] = (-1, None)
        self._mid_step = False
        self._buffers: dict[str, Tensor] = {}
        self._before_validation = False
        self._saved_at_s = time.monotonic()
        self._saved_step = -1

    # content

    @override
    def state_dict(self) -> dict[str, Any]:
        """Returns the best value so far of the monitored metric."""
        return {"best": dict(self.best)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best value."""
        self.best = dict(state_dict["best"])

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the configuration, which ``test`` needs, and the threshold, which ``predict`` needs."""
        step, threshold = self._threshold
        threshold = threshold if step == trainer.global_step else None  # it belongs to the validated weights
        checkpoint["tavlo"] = {"config": self.config, "version": self.version, "threshold": threshold}
        if self._before_validation:
            # Lightning assumes that a training loop without an unfinished batch has validated. With one validation
            # batch started and none done, it validates again from the first clip.
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"][VALIDATION_PROGRESS]
            progress["total"] |= begun
            progress["current"] |= begun

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self._saved_at_s = time.monotonic()
        self._saved_step = trainer.global_step

    # times of saving

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Copies what the forward pass changes besides gradients: the statistics of normalisation layers."""
        self._buffers = {name: buffer.clone() for name, buffer in pl_module.named_buffers()}

    @override
    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Marks that until the end of the batch the weights may be between two steps."""
        self._mid_step = True

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and stops if asked to; after the last batch of an epoch, the hooks of the epoch do it."""
        self._buffers = {}
        self._mid_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        stop = self._agreed_stop(trainer)
        due = time.monotonic() - self._saved_at_s > SAVE_EVERY_S
        due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if (stop or due) and not (self._mid_step or trainer.is_last_batch or self._is_off(trainer)):
            self._save_last(trainer)
            self._stop_if(stop, trainer)

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves, so that a stop or an unreadable validation clip does not lose the epoch."""
        if self._is_off(trainer):
            return
        stop = self._agreed_stop(trainer)
        self._before_validation = True
        try:
            self._save_last(trainer)
        finally:
            self._before_validation = False
        self._stop_if(stop, trainer)

    @override
    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Stops if asked to; the state was saved at the start of the validation."""
        if not self._is_off(trainer):
            self._stop_if(self._agreed_stop(trainer), trainer)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves ``best.ckpt`` if this validation was the best.

        Raises:
            ConfigError: the metric to choose by was not logged.
        """
        if self._is_off(trainer):
            return
        threshold: Any = pl_module.threshold
        self._threshold = (trainer.global_step, threshold)
        monitor, value = self._monitored(trainer.callback_metrics)
        if monitor is None or math.isnan(value):
            return
        sign = -1.0 if "loss" in monitor else 1.0
        if monitor not in self.best or sign * value > sign * self.best[monitor]:
            self.best = {monitor: value}
            trainer.save_checkpoint(self.folder / "best.ckpt")

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves at the end of the epoch, and stops if asked to."""
        if not self._is_off(trainer):
            self._save_last(trainer)
            self._stop_if(self._agreed_stop(trainer), trainer)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves the state before the batch that failed, if the weights are whole and there is one process only."""
        whole = not self._mid_step and not trainer.validating and trainer.world_size == 1
        if whole and not isinstance(exception, TrainingStopped) and trainer.global_step > max(self._saved_step, 0):
            for name, buffer in pl_module.named_buffers():
                if name in self._buffers:
                    buffer.copy_(self._buffers[name])
            with suppress(OSError):  # a full disk, which may be the reason of the exception
                self._save_last(trainer)

    def _monitored(self, metrics: dict[str, Tensor]) -> tuple[str | None, float]:
        """Returns name and value of the metric to choose by, None and NaN if no default one is logged."""
        name = self.monitor or next((name for name in DEFAULT_MONITORS if name in metrics), None)
        if name is None:
            return None, math.nan
        if name not in metrics:
            logged = ", ".join(sorted(name for name in metrics if name.startswith("val/")))
            raise ConfigError(f"--monitor {name} is not logged; the metrics of this validation are {logged}")
        return name, float(metrics[name])

    def _is_off(self, trainer: Trainer) -> bool:
        return trainer.sanity_checking or bool(trainer.fast_dev_run)  # type: ignore[attr-defined]

    # stopping

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handles SIGTERM in place of Lightning, whose handler would communicate with other processes within a step."""
        self.signals.handle_sigterm()
        if trainer.received_sigterm:  # while the clips were listed
            self.signals.received = signal.SIGTERM
        self._stop_if(self._agreed_stop(trainer), trainer)

    def _agreed_stop(self, trainer: Trainer) -> bool:
        """Whether any process was asked to stop; all processes get the same answer at the same batch."""
        return trainer.strategy.reduce_boolean_decision(self.signals.received is not None, all=False)

    def _stop_if(self, stop: bool, trainer: Trainer) -> None:
        if stop:
            requeue = trainer.strategy.reduce_boolean_decision(self.signals.received == REQUEUE, all=False)
            number = REQUEUE if requeue else self.signals.received or signal.SIGTERM
            raise TrainingStopped(number, trainer.global_step)
