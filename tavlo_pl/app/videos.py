"""The videos that were dropped on the page: each waits its turn, is localized, and can be made a film."""

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

import numpy as np

from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.predict.localizer import Aspect, Localizer
from tavlo_pl.predict.overlay_video import write_overlay_video, write_poster
from tavlo_pl.predict.run import write_archive
from tavlo_pl.predict.sources import Localization

NAME_LETTERS = 100
KEPT = 8
"""Videos that are kept with their results; the oldest finished one makes room for a new one."""


class Dropped(Exception):
    """Raised inside the work on a video that nobody wants any more."""


@dataclass
class Work:
    """Something that takes a while.

    Attributes:
        task: its end, and the error if it failed.
        step: what is being done.
        done: share of it in [0, 1].
        speed: times real time.
    """

    task: Future[None] = field(default_factory=Future)
    step: str = "waiting"
    done: float = 0.0
    speed: float | None = None

    def to_dict(self, hide: Mapping[str, str]) -> dict[str, Any]:
        """For the page, ``hide``: words that are replaced in an error, paths above all."""
        known = {"step": self.step, "done": round(self.done, 4), "speed": self.speed and round(self.speed, 1)}
        if not self.task.done():
            return known | {"state": "running"}
        if self.task.cancelled() or (error := self.task.exception()) is None:
            return known | {"state": "ready"}
        told = str(error) if isinstance(error, TavloError) else f"{type(error).__name__}: {error}"
        for word, shown in hide.items():
            told = told.replace(word, shown)
        return known | {"state": "failed", "error": told}


@dataclass
class Video:
    """A video that was dropped.

    Attributes:
        key: its name in addresses, which nobody can guess.
        name: what its owner calls it; never part of a path.
        folder: all its files, under names of ours.
        work: localizing it.
        found: what came of that.
        media_type: of the file that the page plays.
        film: making the film, once that was asked for.
        overlay_threshold: its threshold.
        unwanted: set when it was taken off the page.
    """

    key: str
    name: str
    folder: Path
    work: Work = field(default_factory=Work)
    found: Localization | None = None
    media_type: str = "video/mp4"
    film: Work | None = None
    overlay_threshold: float | None = None
    unwanted: Event = field(default_factory=Event)

    @property
    def source(self) -> Path:
        """What was dropped."""
        return self.folder / "source"

    @property
    def view(self) -> Path:
        """What the page plays: what was dropped, or a copy that browsers play."""
        copy = self.folder / "view.mp4"
        return copy if copy.is_file() else self.source

    @property
    def is_busy(self) -> bool:
        """Whether work on it is waiting or running."""
        return not self.work.task.done() or (self.film is not None and not self.film.task.done())

    def to_dict(self) -> dict[str, Any]:
        """For the page."""
        hide = {str(self.source): self.name, f"{self.folder}/": ""}
        known: dict[str, Any] = {"key": self.key, "name": self.name, **self.work.to_dict(hide)}
        if self.found is not None:
            known["cells"] = self.found.heatmap.shape
        if self.film is not None:
            known["film"] = self.film.to_dict(hide) | {"threshold": self.overlay_threshold}
        return known


class Videos:
    """All of them; one is worked at, the others wait.

    Args:
        folder: where their files go.
        localizer: finds the sources.
        maps_per_second: None for the model's own rate.
        aspect: how the model is shown the picture.
        made_with: kept in ``sources.json``.
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
        self._workers = ThreadPoolExecutor(1, "videos")

    def add(self, name: str) -> Video:
        """A place for a video that is about to arrive.

        Raises:
            ConfigError: too many are waiting.
        """
        finished = [video for video in self.by_key.values() if not video.is_busy]
        if len(self.by_key) >= KEPT:
            if not finished:
                raise ConfigError(f"{KEPT} videos are waiting already; let one finish, or cancel one")
            self.drop(finished[0].key)
        video = Video(secrets.token_urlsafe(12), shown_name(name), self.folder / secrets.token_hex(8))
        video.folder.mkdir()
        self.by_key[video.key] = video
        return video

    def start(self, video: Video) -> None:
        """Has a video localized that has arrived."""
        video.work.task = self._workers.submit(self._localize, video)

    def start_overlay_video(self, video: Video, threshold: float | None, box: bool, spectrogram: bool) -> None:
        """Has the film made, with a threshold of the owner's choice."""
        found = video.found
        assert found is not None, "asked for videos that are localized"
        found = replace(found, threshold=threshold)
        video.film, video.overlay_threshold = Work(), threshold
        video.film.task = self._workers.submit(self._film, video, video.film, found, box, spectrogram)

    def drop(self, key: str) -> None:
        """Takes a video with all its files away, at once or as soon as the work on it has stopped."""
        video = self.by_key.pop(key)
        video.unwanted.set()
        works = [video.work, *([video.film] if video.film else [])]
        last = works[-1].task
        for work in works:
            work.task.cancel()
        last.add_done_callback(lambda done: shutil.rmtree(video.folder, ignore_errors=True))

    def close(self) -> None:
        """Stops all work."""
        for key in list(self.by_key):
            self.drop(key)
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _localize(self, video: Video) -> None:
        length_s = media.probe(video.source).duration_s
        found = self.localizer.localize(
            video.source,
            Path(video.name).stem,
            self.maps_per_second,
            self.aspect,
            _meter(video, video.work, "listening and looking", length_s),
        )
        found.heatmap.astype("<f4").tofile(video.folder / "maps.f32")
        write_archive(found, video.folder / "heatmaps.npz")
        known = media.browser_type(video.source)
        if known is None:
            advance = _meter(video, video.work, "making a copy that browsers play", length_s)
            last_s = 0.0

            def keep(frame: np.ndarray, time_s: float) -> np.ndarray:
                nonlocal last_s
                advance(time_s - last_s)
                last_s = time_s
                return frame

            media.map_frames(video.source, video.folder / "view.mp4", keep)
        video.media_type = known or "video/mp4"
        len(found.moments)  # found now, while the page shows that there is work
        video.found = found

    def _film(self, video: Video, work: Work, found: Localization, box: bool, spectrogram: bool) -> None:
        advance = _meter(video, work, "drawing the film", found.duration_s)
        write_overlay_video(found, video.folder / "film.mp4", box, spectrogram, advance)

    def sources(self, video: Video, threshold: float | None) -> str:
        """``sources.json`` with a threshold of the owner's choice."""
        assert video.found is not None, "asked for videos that are localized"
        told = replace(video.found, threshold=threshold, path=Path(video.name))
        return told.to_json(self.made_with)

    def poster(self, video: Video, threshold: float | None) -> bytes:
        """The poster, a JPEG file, with a threshold of the owner's choice.

        Raises:
            MediaError: that frame is damaged.
        """
        assert video.found is not None, "asked for videos that are localized"
        path = video.folder / f"{secrets.token_hex(4)}.jpg"
        try:
            write_poster(replace(video.found, threshold=threshold), path)
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)


def shown_name(name: str) -> str:
    """What a file is called on the page and in downloads: no folders, no control characters, not too long."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(letter for letter in last if letter.isprintable()).strip()
    return kept[-NAME_LETTERS:] if kept.strip(".") else "video"


def _meter(video: Video, work: Work, step: str, length_s: float) -> Callable[[float], None]:
    """Counts the seconds of video that are done; stops the work on a video that nobody wants."""
    work.step, work.done, work.speed = step, 0.0, None
    began_s, done_s = monotonic(), 0.0

    def advance(seconds: float) -> None:
        nonlocal done_s
        if video.unwanted.is_set():
            raise Dropped
        done_s += seconds
        work.done = min(1.0, done_s / max(length_s, 1e-3))
        work.speed = done_s / max(monotonic() - began_s, 1e-3)

    advance(0.0)
    return advance
