"""Calls of ``tavlo predict`` on a Ray cluster that are slow, or kill the process that runs them."""

import time
from typing import Any

from tavlo_pl.predict import run as predict_run
from tests.helpers.ray_cluster import SLOW_S, kill_once

real_write = predict_run.write_video


def write_and_kill(*about: Any) -> Any:
    """``predict.run.write_video`` in a process that is killed once, after it has written the files of a video."""
    result = real_write(*about)
    kill_once(about[-1][1].parent)
    return result


def write_slowly(*about: Any) -> Any:
    """``predict.run.write_video``, slower."""
    time.sleep(SLOW_S)
    return real_write(*about)
