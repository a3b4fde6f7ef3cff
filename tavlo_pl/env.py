"""Every environment variable that tavlo_pl reads; there are no others."""

import os

from tavlo_pl.errors import ConfigError

DEBUG = "TAVLO_DEBUG"
"""Set to 1 to see tracebacks instead of one sentence."""

RUN_FOLDER = "TAVLO_RUN_FOLDER"
"""The run folder that the first process chose, for the processes that Lightning starts beside it."""

MEDIA_LIMITS = "TAVLO_MEDIA_LIMITS"
"""What media files may state of themselves, as JSON: ``{"pixels": 67108864, "duration_s": 86400, "streams": 32}``.
The options ``--data.limits`` and ``--limits`` set it, for the processes that read beside this one."""


CLIP_TIMEOUT_S = "TAVLO_CLIP_TIMEOUT_S"
"""Seconds that reading one clip may take before it counts as unreadable; 120 by default, 0 for no limit."""


LONGEST_TIMEOUT_S = 1e6
"""Eleven days; a timer of the system takes no infinity."""


def clip_timeout_s() -> float:
    """The limit of reading one clip.

    Raises:
        ConfigError: it is no number of seconds.
    """
    value = os.environ.get(CLIP_TIMEOUT_S, "120")
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < LONGEST_TIMEOUT_S:
        raise ConfigError(f"{CLIP_TIMEOUT_S} is {value!r}; give seconds, or 0 for no limit")
    return seconds


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
