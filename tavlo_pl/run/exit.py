"""How a run ends early: stop signals, a lost parent process, SLURM requeueing, and errors for the user."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.distributed import DistError

from tavlo_pl import env
from tavlo_pl.errors import CheckpointError, ConfigError, RunFailedError, TavloError
from tavlo_pl.io.os_errors import describe_os_error
from tavlo_pl.io.tracebacks import describe_failure

PARENT_CHECK_S = 5.0
"""Interval of the check for the parent process; Lightning's first process checks its children as often."""

REQUEUE = signal.SIGUSR1
"""The signal that SLURM sends some time before the end of a job (``#SBATCH --signal=USR1@120``)."""


class TrainingStopped(BaseException):
    """A signal asked the run to stop, and ``last.ckpt`` has been written.

    Not an ``Exception``, so that no handler of failures catches it.

    Args:
        signal_number: the signal.
        step: number of optimizer steps done.
    """

    def __init__(self, signal_number: signal.Signals, step: int) -> None:
        super().__init__(f"stopped by {signal_number.name} after step {step}")
        self.signal_number = signal_number
        self.step = step


class StopSignals:
    """Records the signals that ask a run to stop, so that the run stops after a whole step.

    Attributes:
        received: the first stop signal, None before it.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Records Ctrl-C while the block runs, and in a SLURM job also the signal to requeue it.

        The block contains the whole run, so that data loader processes inherit the handlers and continue. Lightning
        installs no handler of its own for a signal that already has one.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, *([REQUEUE] if env.slurm_job() is not None else [])]
        previous = [signal.signal(number, self.record) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, previous, strict=True):
                signal.signal(number, handler)

    def handle_sigterm(self) -> None:
        """Records SIGTERM from now on; Lightning restores the previous handler at the end of the run."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.record)

    def record(self, number: int, _frame: FrameType | None) -> None:
        """Signal handler: keeps the first signal.

        Raises:
            KeyboardInterrupt: Ctrl-C after an earlier stop signal; the run ends at once with the last saved checkpoint.
        """
        if self.received is None:
            self.received = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt


def exit_with_parent(parent: int) -> None:
    """Ends this process when the first process of the run has ended.

    Without it, a process on a GPU waits half an hour for the first one.

    Args:
        parent: process id of the first process, which started this one.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def requeue() -> None:
    """Asks SLURM to start the job again; it resumes if its command contains ``--ckpt_path last``."""
    command = ["scontrol", "requeue", str(env.slurm_job())]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        return
    except subprocess.CalledProcessError as error:
        reason = error.stderr or str(error)
    except OSError as error:
        reason = str(error)
    print(f"{shlex.join(command)} failed ({reason.strip()}); submit the job again by hand", file=sys.stderr)


def to_user_error(error: Exception, command: str, log: Path | None) -> TavloError:
    """Converts any error of a command into one whose message and exit code are for the user.

    Args:
        error: the exception that parsing or running a command line raised.
        command: fit, validate, test, predict or diagnose.
        log: file to which the traceback of an internal error is appended, see `describe_failure`.

    Returns:
        The ``TavloError`` among the error and its causes if there is one, else one that describes the error.
    """
    cause: BaseException | None = error
    while cause is not None:  # jsonargparse wraps errors raised while it instantiates a class
        known = cause if isinstance(cause, TavloError) else describe_os_error(cause, log.parent if log else None)
        if known is not None:
            return known
        cause = cause.__cause__
    message = " ".join(str(error).split())
    return _device_error(error, message) or _lightning_error(error, message) or describe_failure(error, command, log)


def _device_error(error: Exception, message: str) -> TavloError | None:
    """The error for the user of a device that is absent or lacks an operator, None for anything else."""
    absent = re.match(r"`(\w+)Accelerator` can not run .* argument of `Trainer`: \[(.*)\]", message)
    if isinstance(error, MisconfigurationException) and absent:
        others = absent[2].replace("'", "")
        return ConfigError(
            f"--trainer.accelerator {absent[1].lower()}: this machine has no such device; it has {others}"
        )
    if isinstance(error, NotImplementedError) and "for the MPS device" in message:
        operator = (re.findall(r"'(aten::\S+)'", message) or ["an operator"])[0]
        return ConfigError(
            f"MPS has no {operator}: set PYTORCH_ENABLE_MPS_FALLBACK=1 to compute it on the CPU, or use "
            "--trainer.accelerator cpu"
        )
    return None


def _lightning_error(error: Exception, message: str) -> TavloError | None:
    """The error for the user of what Lightning and torch raise, None for anything else."""
    again = "run the same command again to continue, fit with --ckpt_path last"
    if isinstance(error, MisconfigurationException):
        return ConfigError(message)
    if message.startswith("DataLoader worker"):
        return RunFailedError(f"a data loader process was killed, perhaps for lack of memory ({message}); {again}")
    if isinstance(error, DistError) or "gloo/transport" in message:
        return RunFailedError(
            f"another process of this run ended, or its machine cannot be reached ({message[:200]}); {again}"
        )
    if message.startswith("Error(s) in loading state_dict"):
        return CheckpointError(f"the checkpoint's weights do not fit the configured model: {message}")
    return None
