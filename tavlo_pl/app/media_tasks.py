"""Work on a video that needs no model, in a process of its own (`worker.run`)."""

from pathlib import Path

import numpy as np

from tavlo_pl.app.worker import Report
from tavlo_pl.data import media


def copy_for_browser(source: Path, copy: Path, report: Report) -> None:
    """Writes a copy of a video in a format that browsers play."""
    last_s = 0.0

    def keep(frame: np.ndarray, time_s: float) -> np.ndarray:
        nonlocal last_s
        report(time_s - last_s)
        last_s = time_s
        return frame

    media.map_frames(source, copy, keep)
