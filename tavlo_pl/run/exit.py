"""How a run ends that does not end well: what the user is told, and what becomes of its other processes and its job."""

import os
import shlex
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.distributed import DistError

from tavlo_pl import env
from tavlo_pl.errors import CheckpointError, ConfigError, RunFailedError, TavloError
from tavlo_pl.io.os_errors import refusal

PARENT_CHECK_S = 5.0
"""As often does Lightning's first process look after those that it started."""


def end_with(parent: int) -> None:
    """Ends this process when the first one of the run is gone: on GPUs it would wait for it, for half an hour.

    Args:
        parent: process number of the first one, which started this one.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)


def requeue() -> None:
    """Has SLURM start the job again; it goes on if its command says ``--ckpt_path last``."""
    command = ["scontrol", "requeue", str(env.slurm_job())]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"{shlex.join(command)} failed ({str(reason).strip()}); queue the job again by hand", file=sys.stderr)


def sentence(error: Exception, log: Path | None) -> TavloError:
    """What the user is told about an error.

    Args:
        error: what was raised while a command line was parsed or run.
        log: file that takes the traceback of a failed run, if its folder is there.

    Returns:
        The error itself where it is ours, else one whose sentence and exit code fit.
    """
    told: BaseException | None = error
    while told is not None:  # jsonargparse wraps what is raised while it makes an object from the configuration
        if isinstance(told, TavloError):
            return told
        if refused := refusal(told, log.parent if log else None):
            return refused
        told = told.__cause__
    message = " ".join(str(error).split())
    if isinstance(error, MisconfigurationException):
        return ConfigError(message)
    if message.startswith("DataLoader worker"):
        return RunFailedError(
            f"a process that reads clips was ended from outside, by too little memory perhaps ({message}); "
            "the same command goes on, fit with --ckpt_path last"
        )
    if isinstance(error, DistError) or "gloo/transport" in message:
        return RunFailedError(
            f"another process of this run ended, or its machine cannot be reached ({message[:200]}); "
            "the same command goes on, fit with --ckpt_path last"
        )
    if message.startswith("Error(s) in loading state_dict"):
        return CheckpointError(f"the checkpoint's weights do not fit the configured model: {message}")
    where = f"{env.DEBUG}=1 shows where"
    if log is not None and log.parent.is_dir():
        with suppress(OSError), log.open("a") as file:
            traceback.print_exception(error, file=file)
        where = f"traceback in {log}"
    return RunFailedError(f"{type(error).__name__}: {message} ({where})")
