"""All environment variables that tavlo_pl reads."""

import os

from tavlo_pl.errors import ConfigError

DEBUG = "TAVLO_DEBUG"
"""Set to 1 to print tracebacks of errors."""

RUN_FOLDER = "TAVLO_RUN_FOLDER"
"""The run folder that the first process chose, for the processes that Lightning starts."""

MEDIA_LIMITS = "TAVLO_MEDIA_LIMITS"
"""Limits on media files, as JSON: ``{"pixels": 67108864, "duration_s": 86400, "streams": 32}``.
The options ``--data.limits`` and ``--limits`` set it, for the processes that read clips."""

CLIP_TIMEOUT_S = "TAVLO_CLIP_TIMEOUT_S"
"""Time in seconds after which reading one clip counts as failed; 120 by default, 0 for no limit."""

STREAMS = {"video": "TAVLO_VIDEO_STREAM", "audio": "TAVLO_AUDIO_STREAM"}
"""Number of the video or audio stream to read in every file, counted from 0 among the streams of its kind.
The options ``video_stream`` and ``audio_stream`` set it, for the processes that read clips."""

LONGEST_TIMEOUT_S = 1e6
"""Upper bound of the time limit, eleven days: a system timer accepts no infinity."""


def clip_timeout_s() -> float:
    """Returns the time limit in seconds for reading one clip, 0 for none.

    Raises:
        ConfigError: the variable is not a number of seconds in [0, `LONGEST_TIMEOUT_S`).
    """
    value = os.environ.get(CLIP_TIMEOUT_S, "120")
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < LONGEST_TIMEOUT_S:
        raise ConfigError(f"{CLIP_TIMEOUT_S} is {value!r}; give seconds, or 0 for no limit")
    return seconds


def stream_number(kind: str) -> int | None:
    """Returns the number of the video or audio stream to read; None for the one that players choose.

    Args:
        kind: ``video`` or ``audio``.

    Raises:
        ConfigError: the variable is not a number.
    """
    value = os.environ.get(STREAMS[kind], "")
    if not value:
        return None
    if not value.isdecimal():
        raise ConfigError(f"{STREAMS[kind]} is {value!r}; it must be the number of a stream, counted from 0")
    return int(value)


def for_tasks() -> dict[str, str]:
    """The variables that the work on one clip reads, for processes on other machines."""
    names = (DEBUG, MEDIA_LIMITS, CLIP_TIMEOUT_S, *STREAMS.values())
    return {name: os.environ[name] for name in names if name in os.environ}


def debug() -> bool:
    """Whether tracebacks are printed."""
    return os.environ.get(DEBUG, "0") not in ("", "0")


def process_number() -> int:
    """Returns 0 in the first process of a run, and a positive number in each other process.

    torchrun sets ``RANK``, SLURM's srun ``SLURM_PROCID``, and Lightning ``LOCAL_RANK`` for the processes that it
    starts; a user who starts one command per machine sets ``NODE_RANK``.
    """
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))
    return next((int(number) for number in ranks if number not in (None, "", "0")), 0)


def run_seed() -> int:
    """The seed that Lightning's ``seed_everything`` set for the run; 0 where nothing was seeded."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def slurm_job() -> str | None:
    """Returns the id of the SLURM job of this process, as ``scontrol requeue`` takes it; None outside a job."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def launched() -> bool:
    """Whether a launcher started this process together with others."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1 or process_number() > 0
