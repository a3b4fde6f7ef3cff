"""Localizes many videos: skips finished ones, shares the others among processes, and reports failures."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.errors import MediaError, RunFailedError
from tavlo_pl.io.messages import one_line
from tavlo_pl.predict.failures import as_media_error
from tavlo_pl.predict.folder import PredictionFolder
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.source_file import describe_source
from tavlo_pl.predict.sources import Localization

REASONS_SHOWN = 3
"""Maximum number of failures in the error message at the end; each is also printed when it occurs."""

MAPS_SHARE = 0.5
"""Share of the heatmaps in the progress of a video with an overlay video: both take about the same time."""


@dataclass
class Outcome:
    """Result of `predict_all`.

    Attributes:
        written: names of the videos that this process finished.
        kept: number of videos that were finished before.
        elsewhere: number of videos that another process works on.
        failed: name -> error of the videos that failed.
    """

    written: list[str] = field(default_factory=list)
    kept: int = 0
    elsewhere: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def summary(self, speed: float) -> str:
        """Returns one line.

        Args:
            speed: seconds of video per second.
        """
        parts = [f"{len(self.written)} written" + (f" at {speed:.1f} times real time" if self.written else "")]
        if self.kept:
            parts.append(f"{self.kept} finished before (--overwrite writes them again)")
        if self.elsewhere:
            parts.append(f"{self.elsewhere} in work by another process")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        total = len(self.written) + self.kept + self.elsewhere + len(self.failed)
        return f"{total} video{'' if total == 1 else 's'}: {', '.join(parts)}"


def predict_all(
    videos: Sequence[tuple[str, Path]],
    make_localizer: Callable[[], Localizer],
    folder: PredictionFolder,
    overwrite: bool = False,
    progress: bool = True,
) -> Outcome:
    """Writes all videos that are not finished, and the page of all finished ones.

    Args:
        videos: (sample_id, path) of each.
        make_localizer: called if a video is left to write.
        folder: the output folder.
        overwrite: write finished videos again.
        progress: show a progress bar.

    Returns:
        The outcome, whose summary is printed.

    Raises:
        ConfigError: see `PredictionFolder.check` and `checked_name`.
        RunFailedError: some videos failed; all others are written. The message contains the first errors.
    """
    folder.check(videos)
    todo = [video for video in videos if overwrite or not folder.is_finished(*video)]
    outcome = Outcome(kept=len(videos) - len(todo))
    lengths_s = {sample_id: _length_s(path) for sample_id, path in todo}
    maps_share = MAPS_SHARE if folder.options.overlay_videos else 1.0
    began_s, done_s = time.monotonic(), 0.0
    bar = tqdm(
        total=round(sum(lengths_s.values()), 1),
        disable=not progress,
        bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}{postfix}]",
    )

    def advance(seconds: float) -> None:
        bar.set_postfix_str(f"{bar.n / max(time.monotonic() - began_s, 1e-3):.1f} times real time", refresh=False)
        bar.update(max(0.0, min(seconds, bar.total - bar.n)))

    def report(sample_id: str, error: MediaError) -> None:
        outcome.failed[sample_id] = str(error)
        bar.write(f"failed: {one_line(error)}", file=sys.stderr)

    with bar, ExitStack() as locks:
        queue = VideoQueue(todo, folder, overwrite, outcome, report, locks)
        localizer = make_localizer() if todo else None
        results = _localize(localizer, iter(queue), folder, lambda seconds: advance(maps_share * seconds))
        for sample_id, found in results:
            bar.set_description(sample_id[:24], refresh=False)
            with queue.locked(sample_id) as source:
                try:
                    if isinstance(found, MediaError):
                        raise found
                    for note in found.notes:
                        bar.write(f"{sample_id}: {note}", file=sys.stderr)
                    with as_media_error(found.path):
                        folder.write(found, source, lambda seconds: advance((1 - maps_share) * seconds))
                except MediaError as error:
                    report(sample_id, error)
                else:
                    outcome.written.append(sample_id)
                    done_s += lengths_s[sample_id]
    summary = outcome.summary(done_s / max(time.monotonic() - began_s, 1e-3))
    if folder.path.is_dir():
        page = folder.write_page()
        folder.clean_up()
        summary += f"; open {page} to see them" if page else f"; the files are in {folder.path}"
    print(summary, flush=True)
    if outcome.failed:
        shown = [*outcome.failed.values()][:REASONS_SHOWN] + ["…"] * (len(outcome.failed) > REASONS_SHOWN)
        raise RunFailedError(
            f"{len(outcome.failed)} of {len(videos)} videos failed, all others are written: {'; '.join(shown)}"
        )
    return outcome


class VideoQueue:
    """The videos that are left to write; each is locked when it is taken, and stays locked until it is written.

    Args:
        videos: (sample_id, path) of each.
        folder: the output folder.
        overwrite: write videos again that another process has finished in the meantime.
        outcome: counts the videos that are not taken.
        report: called with the name of a video that cannot be opened, and the error.
        locks: releases the locks that are left.
    """

    def __init__(
        self,
        videos: Sequence[tuple[str, Path]],
        folder: PredictionFolder,
        overwrite: bool,
        outcome: Outcome,
        report: Callable[[str, MediaError], None],
        locks: ExitStack,
    ) -> None:
        self._videos = videos
        self._folder = folder
        self._overwrite = overwrite
        self._outcome = outcome
        self._report = report
        self._locks = locks
        self._taken: dict[str, tuple[ExitStack, dict[str, Any]]] = {}

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Yields the videos that this process takes."""
        for sample_id, path in self._videos:
            lock = self._locks.enter_context(ExitStack())
            try:
                with as_media_error(path):
                    is_locked = lock.enter_context(self._folder.locked(sample_id))
                    source = describe_source(path)
            except MediaError as error:
                lock.close()
                self._report(sample_id, error)
                continue
            if not is_locked:
                self._outcome.elsewhere += 1
            elif not self._overwrite and self._folder.is_finished(sample_id, path):
                self._outcome.kept += 1
                lock.close()
            else:
                self._taken[sample_id] = lock, source
                yield sample_id, path

    @contextmanager
    def locked(self, sample_id: str) -> Iterator[dict[str, Any]]:
        """Yields the description of a taken file, and releases its lock when the block ends."""
        lock, source = self._taken.pop(sample_id)
        with lock:
            yield source


def _localize(
    localizer: Localizer | None,
    videos: Iterator[tuple[str, Path]],
    folder: PredictionFolder,
    advance: Callable[[float], object],
) -> Iterator[tuple[str, Localization | MediaError]]:
    """The heatmaps of all videos; empty without a localizer, which is missing if no video is left to write."""
    if localizer is None:
        return iter(())
    options = folder.options
    on_windows = partial(folder.write_attention, localizer.model) if options.save_attention else None
    return localizer.localize_all(videos, options.maps_per_second, options.aspect, advance, on_windows)


def _length_s(path: Path) -> float:
    """Length of a video for the progress bar; 0 for an unreadable one, whose error is reported when it is opened."""
    try:
        with as_media_error(path):
            return media.probe(path).duration_s
    except MediaError:
        return 0.0
