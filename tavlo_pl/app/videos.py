"""The uploaded videos: each is queued, localized, and on request written as an overlay video."""

import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from tavlo_pl.app import tasks, worker
from tavlo_pl.app.media_tasks import copy_for_browser
from tavlo_pl.app.worker import RemovedError, run
from tavlo_pl.errors import ConfigError, MediaError, TavloError
from tavlo_pl.predict.checks import Aspect
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.sources import Localization

MAX_NAME_LETTERS = 100
MAX_VIDEOS = 8
"""Maximum number of stored videos; a new video replaces the oldest finished one."""

OVERLAY = "overlay.mp4"

worker.preload(tasks.__name__)


@dataclass
class Work:
    """Progress of a task in the background.

    Attributes:
        task: its result, or the error if it failed.
        step: description of the current step.
        done: completed share of the step in [0, 1].
        speed: seconds of video a second.
        length_s: length of the video in seconds.
        done_s: seconds of it that the step has processed.
        began_s: start of the step on the monotonic clock.
    """

    task: Future[None] = field(default_factory=Future)
    step: str = "waiting"
    done: float = 0.0
    speed: float | None = None
    length_s: float = 0.0
    done_s: float = 0.0
    began_s: float = 0.0

    def advance(self, seconds: float) -> None:
        """Adds processed seconds to the progress of the step."""
        self.done_s += seconds
        self.done = min(1.0, self.done_s / max(self.length_s, 1e-3))
        self.speed = self.done_s / max(monotonic() - self.began_s, 1e-3)

    def to_dict(self, hide: Mapping[str, str]) -> dict[str, Any]:
        """Plain values for the page.

        Args:
            hide: text -> replacement in error messages, which may contain paths.
        """
        known = {"step": self.step, "done": round(self.done, 4), "speed": self.speed and round(self.speed, 1)}
        if not self.task.done():
            return known | {"state": "running"}
        if self.task.cancelled() or (error := self.task.exception()) is None:
            return known | {"state": "ready"}
        message = str(error) if isinstance(error, TavloError) else f"{type(error).__name__}: {error}"
        for text, replacement in hide.items():
            message = message.replace(text, replacement)
        return known | {"state": "failed", "error": message}


@dataclass
class Video:
    """An uploaded video.

    Attributes:
        key: random key in its addresses.
        name: file name given by the user; never part of a path.
        folder: contains all its files, under fixed names.
        work: progress of the localization.
        found: the localization, once it is complete.
        media_type: of the file that the page plays.
        overlay: progress of the overlay video, once it was requested.
        overlay_threshold: threshold of the overlay video.
        removed: set when the video was removed from the page.
    """

    key: str
    name: str
    folder: Path
    work: Work = field(default_factory=Work)
    found: Localization | None = None
    media_type: str = "video/mp4"
    overlay: Work | None = None
    overlay_threshold: float | None = None
    removed: Event = field(default_factory=Event)

    @property
    def source(self) -> Path:
        """The uploaded file."""
        return self.folder / "source"

    @property
    def view(self) -> Path:
        """The file that the page plays: the uploaded file, or a copy in a format that browsers play."""
        copy = self.folder / "view.mp4"
        return copy if copy.is_file() else self.source

    @property
    def is_busy(self) -> bool:
        """Whether a task of it is queued or running."""
        return not self.work.task.done() or (self.overlay is not None and not self.overlay.task.done())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the page."""
        hide = {str(self.source): self.name, f"{self.folder}/": ""}
        known: dict[str, Any] = {"key": self.key, "name": self.name, **self.work.to_dict(hide)}
        if self.found is not None:
            known["cells"] = self.found.heatmap.shape
        if self.overlay is not None:
            known["overlay"] = self.overlay.to_dict(hide) | {"threshold": self.overlay_threshold}
        return known


class Videos:
    """All uploaded videos and one worker thread that processes them in turn.

    Args:
        folder: for the files of all videos.
        localizer: computes the maps.
        maps_per_second: None for the segment rate of the model.
        aspect: how frames are fitted to the model's square input.
        made_with: checkpoint and options, stored in ``sources.json``.

    Attributes:
        by_key: all videos.
        reserved: bytes of disk that each running upload may still write.
    """

    def __init__(
        self,
        folder: Path,
        localizer: Localizer,
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.localizer = localizer
        self.maps_per_second = maps_per_second
        self.aspect = aspect
        self.made_with = {**(made_with or {}), "maps_per_second": maps_per_second, "aspect": aspect}
        self.by_key: dict[str, Video] = {}
        self.reserved: dict[str, int] = {}
        self._workers = ThreadPoolExecutor(1, "videos")

    def add(self, name: str) -> Video:
        """Makes the folder and the entry of a video that is about to be uploaded.

        Raises:
            ConfigError: too many videos are queued.
        """
        finished = [video for video in self.by_key.values() if not video.is_busy]
        if len(self.by_key) >= MAX_VIDEOS:
            if not finished:
                raise ConfigError(f"{MAX_VIDEOS} videos are queued; wait until one is finished, or cancel one")
            self.remove(finished[0].key)
        video = Video(secrets.token_urlsafe(12), shown_name(name), self.folder / secrets.token_hex(8))
        video.folder.mkdir()
        self.by_key[video.key] = video
        return video

    def start(self, video: Video) -> None:
        """Queues the localization of an uploaded video."""
        video.work.task = self._workers.submit(self._localize, video)

    def start_overlay(self, video: Video, threshold: float | None, box: bool, spectrogram: bool) -> None:
        """Queues the overlay video of a localized video.

        Args:
            video: the video.
            threshold: None for the full range of scores.
            box: draw the bounding box of the source.
            spectrogram: draw the spectrogram.
        """
        found = replace(_found(video), threshold=threshold)
        video.overlay, video.overlay_threshold = Work(), threshold
        video.overlay.task = self._workers.submit(self._write_overlay, video, video.overlay, found, box, spectrogram)

    def remove(self, key: str) -> None:
        """Removes a video and deletes its files, at once or when its running task has stopped."""
        video = self.by_key.pop(key, None)
        if video is None:  # a second request
            return
        video.removed.set()
        works = [video.work, *([video.overlay] if video.overlay else [])]
        last = works[-1].task
        for work in works:
            work.task.cancel()
        last.add_done_callback(lambda _: shutil.rmtree(video.folder, ignore_errors=True))

    def close(self) -> None:
        """Removes all videos and stops the worker."""
        for key in list(self.by_key):
            self.remove(key)
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _localize(self, video: Video) -> None:
        length_s, known = self._run(tasks.probe, video, video.work, (video.source,))
        _begin(video.work, "computing the maps", length_s)
        options = (video.source, Path(video.name).stem, self.maps_per_second, self.aspect)
        found = self._run(tasks.localize, video, video.work, (self.localizer, *options))
        if known is None:
            _begin(video.work, "making a copy for the browser", length_s)
            self._run(copy_for_browser, video, video.work, (video.source, video.folder / "view.mp4"))
        video.media_type = known or "video/mp4"
        video.found = found

    def _write_overlay(self, video: Video, work: Work, found: Localization, box: bool, spectrogram: bool) -> None:
        _begin(work, "making the overlay video", found.duration_s)
        self._run(tasks.overlay, video, work, (found, video.folder / OVERLAY, box, spectrogram))

    def _run(self, task: Callable[..., Any], video: Video, work: Work, arguments: tuple[Any, ...]) -> Any:
        """Runs a task of a video in a process; see `worker.run`."""
        if video.removed.is_set():
            raise RemovedError
        return run(task, video.folder, arguments, work.advance, video.removed, video.source)

    def sources(self, video: Video, threshold: float | None) -> str:
        """The text of ``sources.json`` for a threshold."""
        found = replace(_found(video), threshold=threshold, path=Path(video.name))
        return found.to_json(self.made_with)

    def poster(self, video: Video, threshold: float | None) -> bytes:
        """The frame of the highest score under its map for a threshold, as the bytes of a JPEG file.

        Raises:
            MediaError: the frame is damaged.
        """
        folder = video.folder / secrets.token_hex(4)
        folder.mkdir()
        found = replace(_found(video), threshold=threshold)
        try:
            poster: bytes = run(
                tasks.poster, folder, (found, folder / "poster.jpg"), lambda _: None, video.removed, video.source
            )
        except MediaError as error:
            if video.removed.is_set():  # its file is gone
                raise RemovedError from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return poster


def shown_name(name: str) -> str:
    """The name of a file on the page and in downloads: without folders and control characters, limited in length."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(letter for letter in last if letter.isprintable()).strip()
    return kept[-MAX_NAME_LETTERS:] if kept.strip(".") else "video"


def _found(video: Video) -> Localization:
    if video.found is None:
        raise ValueError("the video is not localized")
    return video.found


def _begin(work: Work, step: str, length_s: float) -> None:
    """Begins a step of a task."""
    work.step, work.done, work.speed = step, 0.0, None
    work.length_s, work.done_s, work.began_s = length_s, 0.0, monotonic()
