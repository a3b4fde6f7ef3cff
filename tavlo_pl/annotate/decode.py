"""Decodes the clips of a project for the page, in processes that are killed at the time limit and with the server."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
from PIL import Image

from tavlo_pl.annotate import sound
from tavlo_pl.app import worker
from tavlo_pl.app.media_tasks import copy_for_browser
from tavlo_pl.app.worker import RemovedError, Report
from tavlo_pl.data import media
from tavlo_pl.errors import MediaError, SlowMediaError

worker.preload(__name__)


class Decoder:
    """Runs one task at a time for each clip; a clip that exceeded the time limit is refused until the next start."""

    def __init__(self) -> None:
        self._ended = Event()
        self._locks: dict[Path, Lock] = {}
        self._slow: dict[Path, str] = {}

    def run(self, task: Callable[..., Any], source: Path, *arguments: Any) -> Any:
        """Runs a function of this module in a process.

        Args:
            task: the function, called with `source`, `arguments` and a `Report`.
            source: the video.
            arguments: of the function.

        Raises:
            MediaError: the errors of the function; the limit was exceeded, now or before; the server ends.
            RunFailedError: the process was killed.
        """
        with self._locks.setdefault(source, Lock()), tempfile.TemporaryDirectory(prefix="tavlo_annotate_") as folder:
            if source in self._slow:
                raise SlowMediaError(self._slow[source])
            try:
                return worker.run(task, Path(folder), (source, *arguments), _ignore, self._ended, source)
            except SlowMediaError as error:
                self._slow[source] = str(error)
                raise
            except RemovedError:
                raise MediaError(f"{source}: the server ends") from None

    def close(self) -> None:
        """Kills all processes; later tasks are refused."""
        self._ended.set()


def view(source: Path, copy: Path, report: Report) -> str | None:
    """The media type of a video if browsers play it; writes a copy otherwise, unless there is one."""
    kind = media.browser_type(source)
    if kind is None and not copy.is_file():
        copy_for_browser(source, copy, report)
    return kind


def frame_time(source: Path, number: int, report: Report) -> float:
    """The presentation time of a frame, or of the last one."""
    del report
    times_s = media.frame_times(source)
    return float(times_s[min(number, len(times_s) - 1)])


def image(source: Path, number: int, report: Report) -> bytes:
    """A frame as the bytes of a JPEG file."""
    at_s = frame_time(source, number, report)
    file = io.BytesIO()
    frame: np.ndarray = media.read_clip(source, [at_s], None, 0.0, 0.0).frames[0]
    Image.fromarray(frame).save(file, "jpeg", quality=92)
    return file.getvalue()


def peaks(source: Path, duration_s: float, report: Report) -> list[float]:
    """The waveform; see `sound.peaks`."""
    del report
    return sound.peaks(media.read_waveform(source, 0.0, duration_s))


def spectrogram(source: Path, duration_s: float, report: Report) -> bytes:
    """The spectrogram; see `sound.spectrogram_png`."""
    del report
    return sound.spectrogram_png(media.read_waveform(source, 0.0, duration_s))


def _ignore(seconds: float) -> None:
    """The page shows no progress."""
    del seconds
