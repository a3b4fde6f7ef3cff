"""Every environment variable that tavlo_pl reads; there are no others."""

import os

DEBUG = "TAVLO_DEBUG"
"""Set to 1 to see tracebacks instead of one sentence."""

RUN_FOLDER = "TAVLO_RUN_FOLDER"
"""The run folder that the first process chose, for the processes that Lightning starts beside it."""


def debug() -> bool:
    """Whether the user wants tracebacks."""
    return os.environ.get(DEBUG, "0") not in ("", "0")


def process_number() -> int:
    """0 in the first process of a run, another number in each other one of its machine.

    torchrun sets ``RANK``, SLURM's srun ``SLURM_PROCID``, and Lightning ``LOCAL_RANK`` for the processes it starts
    itself; who starts one command a machine by hand sets ``NODE_RANK``.
    """
    known = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))
    return next((int(number) for number in known if number not in (None, "", "0")), 0)


def slurm_job() -> str | None:
    """What ``scontrol requeue`` calls the SLURM job that this process belongs to."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def launched() -> bool:
    """Whether a launcher started this process beside others."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1 or process_number() > 0
