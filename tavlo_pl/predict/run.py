"""Many videos: each finished or not, taken by one process, and one that fails stops no other."""

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.data.predictions import in_pieces
from tavlo_pl.errors import ConfigError, MediaError, PredictionError, RunFailedError
from tavlo_pl.io.atomic import atomic_path, write_text_atomic
from tavlo_pl.predict.attention import write_attention
from tavlo_pl.predict.gallery import write_gallery
from tavlo_pl.predict.localizer import Aspect, Localizer, Model, Seen
from tavlo_pl.predict.overlay_video import write_overlay_video, write_poster
from tavlo_pl.predict.sources import Localization

NAME_BYTES = 230
"""File systems allow 255; the rest is for the suffixes."""

REASONS = 3
"""So many failures are told again at the end; each was told when it happened."""

FILM_SHARE = 0.5
"""Of the progress of a video that its maps are, where a film follows: both take about as long."""

CLAIMS = ".claims"
"""Folder of locks that say which video a process is at; the system frees them when a process ends in any way."""


@dataclass(frozen=True)
class PredictOptions:
    """What ``tavlo predict`` writes, and how it looks at a video.

    Args:
        maps_per_second: Maps a second; by default one a segment, the model's own rate.
        aspect: squash the picture to a square, as in training, or keep its shape, with black bars.
        films: Write overlay films beside the heatmaps.
        box: In films, frame the source where one is visible.
        spectrogram: In films, show the spectrogram at the lower rim, with a cursor.
        save_attention: Also write each block's temporal attention, as numbers and as a picture.
    """

    maps_per_second: float | None = None
    aspect: Aspect = "squash"
    films: bool = True
    box: bool = False
    spectrogram: bool = False
    save_attention: bool = False


@dataclass
class Outcome:
    """What became of the videos.

    Attributes:
        written: names of those that this process finished.
        kept: how many were finished before.
        elsewhere: how many another process is at.
        failed: name -> why, of those that could not be finished.
    """

    written: list[str] = field(default_factory=list)
    kept: int = 0
    elsewhere: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def summary(self, speed: float) -> str:
        """One line."""
        parts = [f"{len(self.written)} written" + (f" at {speed:.1f} times real time" if self.written else "")]
        if self.kept:
            parts.append(f"{self.kept} finished before (--overwrite writes them anew)")
        if self.elsewhere:
            parts.append(f"{self.elsewhere} left to another process")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        total = len(self.written) + self.kept + self.elsewhere + len(self.failed)
        return f"{total} video{'' if total == 1 else 's'}: {', '.join(parts)}"


class PredictionFolder:
    """The folder that predictions go to, and what is finished in it.

    Args:
        path: the folder.
        options: which files a finished video has.
        made_with: checkpoint and whatever else decides what the maps are; kept in ``<id>.sources.json``, and a video
            that was made with something else is not finished.
    """

    def __init__(self, path: Path, options: PredictOptions, made_with: Mapping[str, Any]) -> None:
        self.path = path
        self.options = options
        shown = {"maps_per_second": options.maps_per_second, "aspect": options.aspect}
        shown |= {"box": options.box, "spectrogram": options.spectrogram} if options.films else {}
        self.made_with = {**made_with, **shown}

    def file(self, sample_id: str, suffix: str) -> Path:
        """Where a file of a video goes."""
        return self.path / f"{checked_name(sample_id)}{suffix}"

    def files(self, sample_id: str) -> list[Path]:
        """All that a finished video has, the last one written at the end."""
        suffixes = [".npz", ".jpg", *([".mp4"] if self.options.films else []), ".sources.json"]
        return [self.file(sample_id, suffix) for suffix in suffixes]

    def is_finished(self, sample_id: str) -> bool:
        """Whether all files are there, made with the same checkpoint and options."""
        *others, sources = self.files(sample_id)
        if not all(path.is_file() for path in [*others, sources]):
            return False
        # The films of a run that wrote some are kept by one that asks for none.
        stored = _stored(sources)
        return all(stored.get(key) == value for key, value in self.made_with.items())

    def check(self, videos: Sequence[tuple[str, Path]]) -> None:
        """Refuses to replace what is not ours: above all a video by its own film.

        Raises:
            ConfigError: a file of another origin lies under a name that is to be written.
        """
        for sample_id, video in videos:
            archive, *others = self.files(sample_id)
            for path in others:
                if path.is_file() and (not archive.is_file() or path.samefile(video)):
                    raise ConfigError(f"{path} was not written by tavlo and would be replaced; give another --out")

    def write(self, found: Localization, advance: Callable[[float], object]) -> None:
        """Writes the files of one video; ``sources.json`` last, by which it is finished.

        Raises:
            MediaError: the video is damaged where its film is made.
        """
        archive, poster, *films, sources = self.files(found.sample_id)
        sources.unlink(missing_ok=True)
        write_archive(found, archive)
        write_poster(found, poster)
        for film in films:
            write_overlay_video(found, film, self.options.box, self.options.spectrogram, advance)
        write_text_atomic(sources, found.to_json(self.made_with))

    def write_attention(self, model: Model, seen: Seen) -> None:
        """Writes the attention of some windows of a video beside its other files."""
        write_attention(model, seen, self.path / checked_name(seen.sample_id))

    @contextmanager
    def claimed(self, name: str, wait: bool = False) -> Iterator[bool]:
        """Whether this process alone is at a video, as long as the block lasts; so several can share a folder."""
        path = self.path / CLAIMS / name
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_CREAT | os.O_RDWR)
            except FileNotFoundError:  # another process has just tidied up
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(handle)
                yield False
                return
            if os.fstat(handle).st_nlink:  # else its owner has just taken the file away
                break
            os.close(handle)
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)


def predict_all(
    videos: Sequence[tuple[str, Path]],
    make_localizer: Callable[[], Localizer],
    folder: PredictionFolder,
    overwrite: bool = False,
    progress: bool = True,
) -> Outcome:
    """Writes all videos that are not finished, and the page of all that are.

    Args:
        videos: (sample_id, path) of each.
        make_localizer: called once there is something to do.
        folder: where the files go.
        overwrite: write finished videos anew.
        progress: show a bar.

    Returns:
        what became of them, after a line about it was printed.

    Raises:
        ConfigError: see `Folder.check`, or a name that cannot be a file name.
        RunFailedError: videos failed; the others are written, and the message names those.
    """
    folder.check(videos)
    todo = [video for video in videos if overwrite or not folder.is_finished(video[0])]
    outcome = Outcome(kept=len(videos) - len(todo))
    lengths_s = {sample_id: _length_s(path) for sample_id, path in todo}
    maps_share = FILM_SHARE if folder.options.films else 1.0
    began_s, done_s = time.monotonic(), 0.0
    bar = tqdm(
        total=round(sum(lengths_s.values()), 1),
        disable=not progress,
        bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}<{remaining}{postfix}]",
    )

    def advance(seconds: float) -> None:
        bar.set_postfix_str(f"{bar.n / max(time.monotonic() - began_s, 1e-3):.1f} times real time", refresh=False)
        bar.update(max(0.0, min(seconds, bar.total - bar.n)))

    with bar, ExitStack() as everything:
        claims: dict[str, ExitStack] = {}

        def claimed() -> Iterator[tuple[str, Path]]:
            """The videos that are this process's to do; each stays its own until it is written."""
            for sample_id, path in todo:
                claim = everything.enter_context(ExitStack())
                if not claim.enter_context(folder.claimed(sample_id)):
                    outcome.elsewhere += 1
                elif not overwrite and folder.is_finished(sample_id):
                    outcome.kept += 1  # by another process, meanwhile
                    claim.close()
                else:
                    claims[sample_id] = claim
                    yield sample_id, path

        localizer = make_localizer() if todo else None
        for sample_id, found in _localized(localizer, claimed(), folder, lambda seconds: advance(maps_share * seconds)):
            bar.set_description(sample_id[:24], refresh=False)
            with claims.pop(sample_id):
                try:
                    if isinstance(found, MediaError):
                        raise found
                    folder.write(found, lambda seconds: advance((1 - maps_share) * seconds))
                except MediaError as error:
                    outcome.failed[sample_id] = str(error)
                    bar.write(f"failed: {error}", file=sys.stderr)
                else:
                    outcome.written.append(sample_id)
                    done_s += lengths_s[sample_id]
    told = outcome.summary(done_s / max(time.monotonic() - began_s, 1e-3))
    if folder.path.is_dir():
        with folder.claimed("index.html", wait=True):
            page = write_gallery(folder.path)
        _tidy(folder.path / CLAIMS)
        told += f"; to see them, open {page}"
    print(told, flush=True)
    if outcome.failed:
        reasons = "; ".join([*outcome.failed.values()][:REASONS] + ["…"] * (len(outcome.failed) > REASONS))
        raise RunFailedError(f"{len(outcome.failed)} of {len(videos)} videos failed, all others are there: {reasons}")
    return outcome


def _localized(
    localizer: Localizer | None,
    videos: Iterator[tuple[str, Path]],
    folder: PredictionFolder,
    advance: Callable[[float], object],
) -> Iterator[tuple[str, Localization | MediaError]]:
    """The maps of all videos; no localizer where there is nothing to do."""
    if localizer is None:
        return iter(())
    options = folder.options
    look = partial(folder.write_attention, localizer.model) if options.save_attention else None
    return localizer.localize_all(videos, options.maps_per_second, options.aspect, advance, look)


def write_archive(found: Localization, path: Path) -> None:
    """Writes ``<id>.npz``.

    It holds ``heatmap`` (T, h, w) float16, raw, of a long video in pieces (``data.heatmaps.in_pieces``);
    ``frame_time_s`` (T,) float64, the moments on the video's clock; ``duration_s`` float64; ``size`` (2,) int64, height
    and width of the video in pixels.
    """
    arrays: dict[str, Any] = {
        **in_pieces(found.heatmap),
        "frame_time_s": found.time_s,
        "duration_s": np.float64(found.duration_s),
        "size": np.array(found.size, np.int64),
    }
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def checked_name(sample_id: str) -> str:
    """A sample's name, if it can be a file name that stays inside its folder.

    Raises:
        ConfigError: it is empty, too long, or holds a separator or control character.
    """
    fits = 0 < len(os.fsencode(sample_id)) <= NAME_BYTES
    if not fits or re.search(r"[/\\\x00-\x1f\x7f]", sample_id):
        raise ConfigError(
            f"sample {sample_id!r} cannot be a file name (empty, over {NAME_BYTES} bytes, or with a "
            "separator or control character in it); rename the video"
        )
    return sample_id


def _stored(sources: Path) -> dict[str, Any]:
    """What a video was made with.

    Raises:
        PredictionError: the file was changed by hand.
    """
    try:
        made_with: dict[str, Any] = json.loads(sources.read_text(encoding="utf-8"))["made_with"]
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionError(f"{sources}: not as tavlo wrote it ({error}); remove it to write it anew.") from error
    return made_with


def _length_s(path: Path) -> float:
    """Length of a video, for the bar; 0 where it cannot be read, which is told when its turn comes."""
    try:
        return media.probe(path).duration_s
    except MediaError:
        return 0.0


def _tidy(claims: Path) -> None:
    """Takes the folder of locks away once nobody is at anything."""
    if claims.is_dir() and not any(claims.iterdir()):
        try:
            claims.rmdir()
        except OSError:  # another process has just begun
            return
