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
    """Number of this process on its machine: 0 unless a launcher started several (it sets ``LOCAL_RANK``)."""
    return int(os.environ.get("LOCAL_RANK", "0"))
