"""Localizes many videos: skips finished ones, shares the others among processes, and reports failures."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.errors import MediaError, RunFailedError
from tavlo_pl.predict.folder import PredictionFolder
from tavlo_pl.predict.localizer import Localizer
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
    todo = [video for video in videos if overwrite or not folder.is_finished(video[0])]
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

    with bar, ExitStack() as all_locks:
        locks: dict[str, ExitStack] = {}

        def locked_videos() -> Iterator[tuple[str, Path]]:
            """Yields the videos that this process locks; each stays locked until it is written."""
            for sample_id, path in todo:
                lock = all_locks.enter_context(ExitStack())
                if not lock.enter_context(folder.locked(sample_id)):
                    outcome.elsewhere += 1
                elif not overwrite and folder.is_finished(sample_id):
                    outcome.kept += 1  # another process has finished it in the meantime
                    lock.close()
                else:
                    locks[sample_id] = lock
                    yield sample_id, path

        localizer = make_localizer() if todo else None
        results = _localize(localizer, locked_videos(), folder, lambda seconds: advance(maps_share * seconds))
        for sample_id, found in results:
            bar.set_description(sample_id[:24], refresh=False)
            with locks.pop(sample_id):
                try:
                    if isinstance(found, MediaError):
                        raise found
                    for note in found.notes:
                        bar.write(f"{sample_id}: {note}", file=sys.stderr)
                    folder.write(found, lambda seconds: advance((1 - maps_share) * seconds))
                except MediaError as error:
                    outcome.failed[sample_id] = str(error)
                    bar.write(f"failed: {error}", file=sys.stderr)
                else:
                    outcome.written.append(sample_id)
                    done_s += lengths_s[sample_id]
    summary = outcome.summary(done_s / max(time.monotonic() - began_s, 1e-3))
    if folder.path.is_dir():
        page = folder.write_page()
        folder.remove_locks()
        summary += f"; open {page} to see them" if page else f"; the files are in {folder.path}"
    print(summary, flush=True)
    if outcome.failed:
        shown = [*outcome.failed.values()][:REASONS_SHOWN] + ["…"] * (len(outcome.failed) > REASONS_SHOWN)
        raise RunFailedError(
            f"{len(outcome.failed)} of {len(videos)} videos failed, all others are written: {'; '.join(shown)}"
        )
    return outcome


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
        return media.probe(path).duration_s
    except MediaError:
        return 0.0
