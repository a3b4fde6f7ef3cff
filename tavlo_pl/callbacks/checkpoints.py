"""``best.ckpt`` and ``last.ckpt``: which weights were best on validation clips, and where to go on from.

A run may be stopped at any moment (Ctrl-C, a signal of a scheduler, an exception). Where the stop can wait for
the end of the batch, it does, so that the checkpoint holds the exact state after a whole step, and a run that
goes on from it reaches the same weights as one that was never stopped. What cannot wait takes the state back to
the step before, or leaves the checkpoint that there is.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.optim import Optimizer

from tavlo_pl import env

SAVE_EVERY_S = 1800.0
"""A long epoch is saved in between, so that a power cut costs half an hour at most."""

REQUEUE = signal.SIGUSR1
"""What SLURM sends some time before a job's end (``#SBATCH --signal=USR1@120``): save, stop, queue the job again."""

VALIDATION_PROGRESS = "epoch_loop.val_loop.batch_progress"
"""Key of the validation loop's progress in a checkpoint's ``loops.fit_loop`` (Lightning 2.6)."""


class Stopped(BaseException):
    """A signal asked the run to stop and ``last.ckpt`` is written.

    Not an ``Exception``, as KeyboardInterrupt is none: nobody may take it for a failure.
    """

    def __init__(self, signal_number: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {signal_number.name} after step {step}")
        self.signal_number = signal_number
        self.step = step


class RunCheckpoints(Checkpoint):
    """Writes ``best.ckpt`` after each validation better than all before, and ``last.ckpt`` to go on from.

    ``last.ckpt`` is written at the end of each epoch, before validation, every half hour, and when the run is
    stopped. This takes the place of Lightning's ModelCheckpoint, whose name and state depend on a metric that
    must be named before it is known whether the validation clips are annotated.

    Args:
        folder: where the checkpoints go.
        config: YAML text of the model and data parts of the configuration, stored in each checkpoint.
        version: of the package, stored beside it.
        monitor: metric to choose by; one with ``loss`` in its name is best when small, others when large.
            None takes ``val/ciou_mean`` where the validation clips are annotated, else ``val/loss``.
    """

    def __init__(self, folder: Path, config: str, version: str, monitor: str | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.version = version
        self.monitor = monitor
        self.best: dict[str, float] = {}
        self._threshold: tuple[int, float | None] = (-1, None)
        self._stop_signal: signal.Signals | None = None
        self._mid_step = False
        self._buffers: dict[str, Tensor] = {}
        self._before_validation = False
        self._saved_at_s = time.monotonic()
        self._saved_step = -1

    # what is stored

    def state_dict(self) -> dict[str, Any]:
        """The best value so far of the monitored metric."""
        return {"best": dict(self.best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the best value back."""
        self.best = dict(state_dict["best"])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the configuration, so that a checkpoint alone is enough to test, and the threshold to predict."""
        step, threshold = self._threshold
        threshold = threshold if step == trainer.global_step else None  # it is of the weights that were validated
        checkpoint["tavlo"] = {"config": self.config, "version": self.version, "threshold": threshold}
        if self._before_validation:
            # Lightning takes a training loop without unfinished batch for one that has validated. With one
            # batch begun and none done it validates again, from the first clip.
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"][VALIDATION_PROGRESS]
            progress["total"] |= begun
            progress["current"] |= begun

    def _save_last(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self._saved_at_s = time.monotonic()
        self._saved_step = trainer.global_step

    # when it is stored

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keeps what the forward pass changes besides gradients: the means of normalisation layers."""
        self._buffers = {name: buffer.clone() for name, buffer in pl_module.named_buffers()}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """From here to the end of the batch the weights may be half way between two steps."""
        self._mid_step = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves and stops if asked to; after an epoch's last batch, what belongs to the epoch comes first."""
        self._buffers = {}
        self._mid_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        stop = self._agreed_stop(trainer)
        due = time.monotonic() - self._saved_at_s > SAVE_EVERY_S
        due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if (stop or due) and not (self._mid_step or trainer.is_last_batch or self._is_off(trainer)):
            self._save_last(trainer)
            self._stop_if(stop, trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves, so that neither a stop nor an unreadable validation clip costs the epoch."""
        if self._is_off(trainer):
            return
        stop = self._agreed_stop(trainer)
        self._before_validation = True
        try:
            self._save_last(trainer)
        finally:
            self._before_validation = False
        self._stop_if(stop, trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Stops if asked to; the state was saved when validation began."""
        if not self._is_off(trainer):
            self._stop_if(self._agreed_stop(trainer), trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves ``best.ckpt`` if this validation was the best."""
        if self._is_off(trainer):
            return
        self._threshold = (trainer.global_step, getattr(pl_module, "threshold", None))
        monitor, value = self._monitored(trainer.callback_metrics)
        if monitor is None or value != value:  # a NaN is never best
            return
        sign = -1.0 if "loss" in monitor else 1.0
        if monitor not in self.best or sign * value > sign * self.best[monitor]:
            self.best = {monitor: value}
            trainer.save_checkpoint(self.folder / "best.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves at the end of the epoch, and stops if asked to."""
        if not self._is_off(trainer):
            self._save_last(trainer)
            self._stop_if(self._agreed_stop(trainer), trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves the state before the batch that failed, if it can be told and no other process has to take part."""
        whole = not self._mid_step and not trainer.validating and trainer.world_size == 1
        if whole and not isinstance(exception, Stopped) and trainer.global_step > max(self._saved_step, 0):
            for name, buffer in pl_module.named_buffers():
                if name in self._buffers:
                    buffer.copy_(self._buffers[name])
            with suppress(OSError):  # a full disk, and perhaps what the exception is about
                self._save_last(trainer)

    def _monitored(self, metrics: dict[str, Tensor]) -> tuple[str | None, float]:
        for name in [self.monitor] if self.monitor else ["val/ciou_mean", "val/loss"]:
            if name in metrics:
                return name, float(metrics[name])
        return None, float("nan")

    def _is_off(self, trainer: Trainer) -> bool:
        return trainer.sanity_checking or bool(trainer.fast_dev_run)  # type: ignore[attr-defined]

    # stopping

    @contextmanager
    def signals_taken(self) -> Iterator[None]:
        """Takes Ctrl-C over around the whole of a run: the loader's processes inherit this and go on.

        In a SLURM job also the signal to queue it again, which Lightning leaves alone where it is taken.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        taken = [signal.SIGINT, *([REQUEUE] if env.slurm_job() is not None else [])]
        before = [signal.signal(number, self._note_signal) for number in taken]
        try:
            yield
        finally:
            for number, handler in zip(taken, before, strict=True):
                signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes SIGTERM over from Lightning, whose handler would talk to other processes in mid-step.

        Lightning puts back what was there before the run.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._note_signal)
        if trainer.received_sigterm:  # while the clips were listed
            self._stop_signal = signal.SIGTERM
        self._stop_if(self._agreed_stop(trainer), trainer)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop_signal is None:
            self._stop_signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt  # asked once more, by a person: at once, with the last.ckpt that there is

    def _agreed_stop(self, trainer: Trainer) -> bool:
        """Whether any process was asked to stop; all of them get the same answer at the same batch."""
        return trainer.strategy.reduce_boolean_decision(self._stop_signal is not None, all=False)

    def _stop_if(self, stop: bool, trainer: Trainer) -> None:
        if stop:
            requeue = trainer.strategy.reduce_boolean_decision(self._stop_signal == REQUEUE, all=False)
            raise Stopped(REQUEUE if requeue else self._stop_signal or signal.SIGTERM, trainer.global_step)
