"""Localizes many videos: skips finished ones, writes the others in this process or on an engine, reports failures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.engine.base import Engine
from tavlo_pl.errors import MediaError, RunFailedError
from tavlo_pl.io.messages import one_line
from tavlo_pl.io.remote import RemoteFile, VideoPath, on_disk
from tavlo_pl.predict.failures import as_media_error
from tavlo_pl.predict.folder import PredictionFolder
from tavlo_pl.predict.localizer import Localizer, ignore_progress
from tavlo_pl.predict.source_file import describe_source
from tavlo_pl.predict.sources import Localization

REASONS_SHOWN = 3
"""Maximum number of failures in the error message at the end; each is also printed when it occurs."""

MAPS_SHARE = 0.5
"""Share of the heatmaps in the progress of a video with an overlay video: both take about the same time."""


class VideoResult(NamedTuple):
    """A video that is written, or has failed.

    Attributes:
        sample_id: its name.
        duration_s: its length in seconds; 0 if it has failed.
        notes: sentences about how the file was read.
        error: why it has failed; empty if it has not.
    """

    sample_id: str
    duration_s: float = 0.0
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass
class Outcome:
    """Result of `predict_all`.

    Attributes:
        written: names of the videos that this run finished.
        kept: number of videos that were finished before.
        failed: name -> error of the videos that failed.
    """

    written: list[str] = field(default_factory=list)
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def summary(self, speed: float) -> str:
        """Returns one line.

        Args:
            speed: seconds of video per second.
        """
        parts = [f"{len(self.written)} written" + (f" at {speed:.1f} times real time" if self.written else "")]
        if self.kept:
            parts.append(f"{self.kept} finished before (--overwrite writes them again)")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        total = len(self.written) + self.kept + len(self.failed)
        return f"{total} video{'' if total == 1 else 's'}: {', '.join(parts)}"


def predict_all(
    videos: Sequence[tuple[str, VideoPath]],
    make_localizer: Callable[[], Localizer],
    folder: PredictionFolder,
    overwrite: bool = False,
    progress: bool = True,
    engine: Engine | None = None,
) -> Outcome:
    """Writes all videos that are not finished, and the page of all finished ones.

    Args:
        videos: (sample_id, path) of each.
        make_localizer: called if a video is left to write.
        folder: the output folder.
        overwrite: write finished videos again.
        progress: show a progress bar.
        engine: writes each video by a call; None writes them in this process, where short videos share batches.

    Returns:
        The outcome, whose summary is printed.

    Raises:
        ConfigError: see `PredictionFolder.check` and `checked_name`.
        RunFailedError: some videos failed; all others are written. The message contains the first errors.
    """
    folder.fetch()
    folder.check(videos)
    todo = [video for video in videos if overwrite or not folder.is_finished(*video)]
    outcome = Outcome(kept=len(videos) - len(todo))
    began_s, done_s = time.monotonic(), 0.0
    by_video = engine is not None or any(isinstance(path, RemoteFile) for _, path in todo)  # lengths are unknown
    bar = _bar_of_videos(todo, progress) if by_video else _bar_of_seconds(todo, progress)

    def advance(amount: float) -> None:
        if not by_video:
            bar.set_postfix_str(f"{bar.n / max(time.monotonic() - began_s, 1e-3):.1f} times real time", refresh=False)
        bar.update(max(0.0, min(amount, bar.total - bar.n)))

    with bar:
        results: Iterable[VideoResult] = ()
        if todo and engine is None:
            results = write_videos(make_localizer(), folder, todo, ignore_progress if by_video else advance)
        elif todo and engine is not None:
            write_one = partial(write_video, make_localizer().to("cpu"), folder, engine.task_device)
            results = engine.map(write_one, todo, in_order=False)
        for result in results:
            bar.set_description(result.sample_id[:24], refresh=False)
            for note in result.notes:
                bar.write(f"{result.sample_id}: {note}", file=sys.stderr)
            if result.error:
                outcome.failed[result.sample_id] = result.error
                bar.write(f"failed: {one_line(result.error)}", file=sys.stderr)
            else:
                outcome.written.append(result.sample_id)
                done_s += result.duration_s
            if by_video:
                advance(1)
    summary = outcome.summary(done_s / max(time.monotonic() - began_s, 1e-3))
    if folder.path.is_dir():
        folder.fetch(outcome.written)
        page = folder.write_page()
        folder.clean_up()
        where = folder.remote.root if folder.remote is not None else folder.path
        summary += f"; open {folder.place(page)} to see them" if page else f"; the files are in {where}"
    print(summary, flush=True)
    if outcome.failed:
        shown = [*outcome.failed.values()][:REASONS_SHOWN] + ["…"] * (len(outcome.failed) > REASONS_SHOWN)
        raise RunFailedError(
            f"{len(outcome.failed)} of {len(videos)} videos failed, all others are written: {'; '.join(shown)}"
        )
    return outcome


def write_videos(
    localizer: Localizer,
    folder: PredictionFolder,
    videos: Iterable[tuple[str, VideoPath]],
    advance: Callable[[float], object] = ignore_progress,
) -> Iterator[VideoResult]:
    """Localizes videos and writes their files; windows of several short videos share a batch.

    Args:
        localizer: computes the heatmaps.
        folder: the output folder.
        videos: (sample_id, path) of each.
        advance: called with the seconds of video that were processed since the last call.

    Yields:
        A result for each video, as soon as it is written or has failed.
    """
    options = folder.options
    maps_share = MAPS_SHARE if options.overlay_videos else 1.0
    sources: dict[str, dict[str, Any]] = {}  # of the files as they are when they are opened
    copies: dict[str, ExitStack] = {}  # of remote files, from their opening until their results are written
    unread: list[VideoResult] = []

    def opened() -> Iterator[tuple[str, VideoPath]]:
        for sample_id, path in videos:
            copies[sample_id] = copied = ExitStack()
            try:
                with as_media_error(path):
                    copied.enter_context(on_disk(path))
                    sources[sample_id] = describe_source(path)
            except MediaError as error:
                unread.append(VideoResult(sample_id, error=str(error)))
                continue
            yield sample_id, path

    with folder.here() as own:
        on_windows = partial(own.write_attention, localizer.model) if options.save_attention else None
        localized = localizer.localize_all(
            opened(), options.maps_per_second, options.aspect, lambda seconds: advance(maps_share * seconds), on_windows
        )
        try:
            for sample_id, found in localized:
                with copies.pop(sample_id):
                    try:
                        result = _write(own, sources.pop(sample_id), found, lambda s: advance((1 - maps_share) * s))
                    except MediaError as error:
                        result = VideoResult(sample_id, notes=_notes(found), error=str(error))
                yield from [*unread, result]
                unread.clear()
            yield from unread
        finally:
            for copied in copies.values():
                copied.close()


def _write(
    folder: PredictionFolder,
    source: dict[str, Any],
    found: Localization | MediaError,
    advance: Callable[[float], object],
) -> VideoResult:
    """Writes the files of one video; raises the error that its heatmaps are."""
    if isinstance(found, MediaError):
        raise found
    with as_media_error(found.path):
        folder.write(found, source, advance)
        folder.publish(found.sample_id)
    return VideoResult(found.sample_id, found.duration_s, found.notes)


def _notes(found: Localization | MediaError) -> tuple[str, ...]:
    return () if isinstance(found, MediaError) else found.notes


def write_video(
    localizer: Localizer, folder: PredictionFolder, device: Callable[[], str | None], video: tuple[str, VideoPath]
) -> VideoResult:
    """Localizes one video and writes its files; the call of an engine.

    Args:
        localizer: computes the heatmaps; it is moved to the device.
        folder: the output folder, the same for all processes.
        device: returns the device of this call; None for that of the localizer.
        video: (sample_id, path).
    """
    chosen = device()
    (result,) = write_videos(localizer if chosen is None else localizer.to(chosen), folder, [video])
    return result


def _bar_of_seconds(videos: Sequence[tuple[str, VideoPath]], progress: bool) -> tqdm:
    return tqdm(
        total=round(sum(_length_s(path) for _, path in videos), 1),
        disable=not progress,
        bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}{postfix}]",
    )


def _bar_of_videos(videos: Sequence[tuple[str, VideoPath]], progress: bool) -> tqdm:
    """The progress where videos are opened by other processes, or are remote, so that their lengths are unknown."""
    return tqdm(total=len(videos), disable=not progress, unit="video")


def _length_s(path: VideoPath) -> float:
    """Length of a video for the progress bar; 0 for an unreadable one, whose error is reported when it is opened."""
    try:
        with as_media_error(path):
            return media.probe(path).duration_s
    except MediaError:
        return 0.0
