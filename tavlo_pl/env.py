"""Every environment variable that tavlo_pl reads; there are no others."""

import os

DEBUG = "TAVLO_DEBUG"
"""Set to 1 to see tracebacks instead of one sentence."""

RUN_FOLDER = "TAVLO_RUN_FOLDER"
"""The run folder that the first process chose, for the processes that Lightning starts beside it."""

MEDIA_LIMITS = "TAVLO_MEDIA_LIMITS"
"""What media files may state of themselves, as JSON: ``{"pixels": 67108864, "duration_s": 86400, "streams": 32}``.
The options ``--data.limits`` and ``--limits`` set it, for the processes that read beside this one."""


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


def launched() -> bool:
    """Whether a launcher started this process beside others."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1 or process_number() > 0
