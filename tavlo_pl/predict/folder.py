"""The output folder of ``tavlo predict``: the files of a video, and whether it is finished."""

import copy
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tavlo_pl.data.datasets.folder import is_overlay_video
from tavlo_pl.data.heatmap_folder import in_pieces
from tavlo_pl.data.sample_names import NAME_BYTES, is_valid_name
from tavlo_pl.errors import AnnotationError, ConfigError
from tavlo_pl.io.atomic import atomic_path, write_text_atomic
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.parsing import read_json
from tavlo_pl.io.remote import VideoPath, staging
from tavlo_pl.predict.attention import write_attention
from tavlo_pl.predict.checks import Aspect, check_options
from tavlo_pl.predict.gallery import write_gallery
from tavlo_pl.predict.localizer import Model, ModelWindows
from tavlo_pl.predict.overlay_video import write_overlay_video, write_poster
from tavlo_pl.predict.source_file import is_same_source
from tavlo_pl.predict.sources import Localization

Layout = Literal["tavlo", "avatar"]
"""Which files a folder of predictions has."""

UNFINISHED = ".unfinished"
"""Folder of the files of videos in work; they are renamed together when all of them are complete."""


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``tavlo predict``.

    Args:
        maps_per_second: Heatmaps per second. Default: one per segment, the rate of the model.
        aspect: How frames are fitted to the square input of the model. squash resizes them, as in training; keep pads
            them with black bars.
        overlay_videos: Write overlay videos.
        box: Draw the bounding box of a visible source in overlay videos.
        spectrogram: Draw the spectrogram with a cursor at the lower edge of overlay videos.
        save_attention: Write the temporal attention of each block as an array and as images.
        layout: Files to write. tavlo: for each video a heatmap archive, a poster, the source positions and an overlay
            video. avatar: heatmap/<video>.npy alone, a map every eighth frame, as the evaluator of AVATAR reads them.
        video_stream: Number of the video stream to read in files with several, counted from 0. Default: the one that
            players show.
        audio_stream: Number of the audio stream, likewise.

    Raises:
        ConfigError: an option has a value that is not possible.
    """

    maps_per_second: float | None = None
    aspect: Aspect = "squash"
    overlay_videos: bool = True
    box: bool = False
    spectrogram: bool = False
    save_attention: bool = False
    layout: Layout = "tavlo"
    video_stream: int | None = None
    audio_stream: int | None = None

    def __post_init__(self) -> None:
        check_options(self.maps_per_second, self.aspect)
        if self.layout not in get_args(Layout):
            raise ConfigError(f"layout is {self.layout!r}; it must be one of {', '.join(get_args(Layout))}.")


class PredictionFolder:
    """The output folder of predictions.

    Args:
        path: the folder.
        options: determine which files a finished video has.
        made_with: checkpoint and everything else that determines the heatmaps. It is stored in ``<id>.sources.json``; a
            video with other values is not finished.
        remote: the output folder in object storage; ``path`` is then a temporary folder, from which the files of a
            video are uploaded when all of them are complete.
    """

    def __init__(
        self, path: Path, options: PredictOptions, made_with: Mapping[str, Any], remote: OutputFolder | None = None
    ) -> None:
        self.path = path
        self.options = options
        self.remote = remote
        self.sizes: dict[str, int] = {}
        stored: dict[str, Any] = {"maps_per_second": options.maps_per_second, "aspect": options.aspect}
        stored |= {"box": options.box, "spectrogram": options.spectrogram} if options.overlay_videos else {}
        self.made_with = {**made_with, **stored}

    def file(self, sample_id: str, suffix: str) -> Path:
        """Returns the path of a file of a video.

        Raises:
            ConfigError: see `checked_name`.
        """
        return self.path / f"{checked_name(sample_id)}{suffix}"

    def files(self, sample_id: str) -> list[Path]:
        """Returns all files of a finished video; the last one is written last."""
        suffixes = [".npz", ".jpg", *([".mp4"] if self.options.overlay_videos else []), ".sources.json"]
        return [self.file(sample_id, suffix) for suffix in suffixes]

    def fetch(self, changed: Iterable[str] = ()) -> None:
        """Lists a folder in object storage, and copies the files by which videos are finished to this machine.

        Args:
            changed: names of the videos whose files were uploaded since the last call.
        """
        if self.remote is not None:
            for sample_id in changed:
                self.files(sample_id)[-1].unlink(missing_ok=True)
            self.sizes = self.remote.sizes()
            self.remote.fetch((name for name in self.sizes if name.endswith(".json")), self.path)

    @contextmanager
    def here(self) -> Iterator["PredictionFolder"]:
        """The folder for the work of this process: itself; for object storage with a temporary folder of its own."""
        if self.remote is None:
            yield self
            return
        with staging(self.remote.root) as path:
            own = copy.copy(self)
            own.path = path
            yield own

    def publish(self, sample_id: str) -> None:
        """Uploads the files of a video to object storage, the heatmaps last, and removes them here."""
        if self.remote is None:
            return
        files = self.files(sample_id)
        extras = [path for path in self.path.iterdir() if path.name.startswith(f"{sample_id}.") and path not in files]
        if self._name(files[0]) in self.sizes:
            self.remote.remove(self._name(files[0]))
        for path in [*(path for path in extras if path.suffix != ".part"), *reversed(files)]:
            self.remote.put(path, self._name(path))
            path.unlink()

    def is_file(self, path: Path) -> bool:
        """Whether a file of the folder exists, here or in object storage."""
        return path.is_file() if self.remote is None else self._name(path) in self.sizes

    def place(self, path: Path) -> str:
        """The path or address of a file of the folder."""
        return str(path) if self.remote is None else self.remote.path(self._name(path))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _is_whole(self, path: Path) -> bool:
        """`is_whole`; object stores write a file completely or not at all."""
        return is_whole(path) if self.remote is None else self.sizes[self._name(path)] > 0

    def is_finished(self, sample_id: str, video: VideoPath) -> bool:
        """Returns whether all files are complete and were made of this very file with the same checkpoint and options.

        A video that was finished with an overlay video is also finished without.

        Args:
            sample_id: name of the video.
            video: the file, compared by size, time and fingerprint.
        """
        *others, sources = self.files(sample_id)
        if not all(map(self.is_file, [*others, sources])) or not all(map(self._is_whole, others)):
            return False
        stored = _read_sources(sources)
        made_with = stored.get("made_with")
        is_equal = isinstance(made_with, dict) and all(
            made_with.get(key) == value for key, value in self.made_with.items()
        )
        return is_equal and is_same_source(stored.get("source"), video)

    def check(self, videos: Sequence[tuple[str, VideoPath]]) -> None:
        """Checks that no file of another origin is replaced, in particular no video by its own overlay video.

        Raises:
            ConfigError: a file of another origin has the name of a file that will be written.
        """
        for sample_id, video in videos:
            archive, *others, sources = self.files(sample_id)
            is_own = self.is_file(archive) or self.is_file(sources)
            for path in [*others, sources]:
                if self.is_file(path) and (not is_own or self._is_same(path, video)):
                    raise ConfigError(
                        f"{self.place(path)} was not written by tavlo and would be replaced; give another --out"
                    )

    def write(self, found: Localization, source: Mapping[str, Any], advance: Callable[[float], object]) -> None:
        """Writes the files of one video: first beside their place, then all are renamed, the heatmaps last.

        After a kill there are all files or no heatmaps.

        Args:
            found: the heatmaps.
            source: `describe_source` of the video.
            advance: called with the seconds of the overlay video that were processed since the last call.

        Raises:
            MediaError: a frame of the video is damaged.
        """
        with self.new_files(found.sample_id) as (archive, poster, *overlay, sources):
            write_archive(found, archive)
            write_poster(found, poster)
            for path in overlay:
                write_overlay_video(found, path, self.options.box, self.options.spectrogram, advance)
            write_text_atomic(sources, found.to_json(self.made_with, source))
            earlier = self.file(found.sample_id, ".mp4")
            if not overlay and not self._is_same(earlier, found.path):
                self._remove_overlay(earlier)  # it shows other heatmaps

    def _remove_overlay(self, path: Path) -> None:
        if self.remote is None and is_overlay_video(path):
            path.unlink()
        elif self.remote is not None and {self._name(path), f"{path.stem}.sources.json"} <= self.sizes.keys():
            self.remote.remove(self._name(path))

    def _is_same(self, path: Path, video: VideoPath) -> bool:
        """Whether a file of the folder is the video itself."""
        return self.place(path) == str(video) or (isinstance(video, Path) and is_same_path(path, video))

    @contextmanager
    def new_files(self, sample_id: str) -> Iterator[list[Path]]:
        """Replaces the files of a video when the block has ended without error.

        Args:
            sample_id: name of the video.

        Yields:
            The paths to write, in the order of `files`.
        """
        final = self.files(sample_id)
        new = [self.path / UNFINISHED / path.name for path in final]
        for path in {path.parent for path in [*final, *new]}:
            path.mkdir(parents=True, exist_ok=True)
        try:
            yield new
            final[0].unlink(missing_ok=True)
            for made, path in reversed(list(zip(new, final, strict=True))):
                made.replace(path)
        finally:
            for path in new:
                path.unlink(missing_ok=True)

    def write_page(self) -> Path | None:
        """Writes the page of all finished videos.

        Returns:
            Its path on this machine; None if the layout has no page.
        """
        page = write_gallery(self.path, self.is_file)
        if self.remote is not None:
            self.remote.put(page, page.name)
        return page

    def write_attention(self, model: Model, windows: ModelWindows) -> None:
        """Writes the attention of windows of a video."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_attention(model, windows, self.path / checked_name(windows.sample_id))

    def clean_up(self) -> None:
        """Removes unfinished files, those of processes that were killed."""
        shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)


def write_archive(found: Localization, path: Path) -> None:
    """Writes ``<id>.npz``.

    It contains ``heatmap`` (T, h, w) float16, raw scores, in pieces for a long video (``data.predictions.in_pieces``);
    ``frame_time_s`` (T,) float64, the times of the heatmaps in seconds; ``duration_s`` float64; ``size`` (2,) int64,
    height and width of the video in pixels.
    """
    arrays: dict[str, Any] = {
        **in_pieces(found.heatmap.astype(np.float16)),
        "frame_time_s": found.time_s,
        "duration_s": np.float64(found.duration_s),
        "size": np.array(found.size, np.int64),
    }
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def is_whole(path: Path) -> bool:
    """Whether a file of a video ends where it should, as far as its header tells; it is not read completely.

    Args:
        path: an existing file; of heatmaps (``.npz``, ``.npy``) end or length are checked, of others that they are not
            empty.
    """
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return "frame_time_s.npy" in archive.namelist()
        if path.suffix == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)
        return path.stat().st_size > 0
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def checked_name(sample_id: str) -> str:
    """Returns the name of a sample if it is a valid file name.

    Raises:
        ConfigError: it is empty, too long, or contains a separator or control character.
    """
    if not is_valid_name(sample_id):
        raise ConfigError(
            f"sample {sample_id!r} cannot be a file name (empty, over {NAME_BYTES} bytes, not UTF-8, or with a "
            "separator or control character in it); rename the video"
        )
    return sample_id


def is_same_path(path: Path, other: Path) -> bool:
    """Whether two paths are the same file; False if one does not exist."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _read_sources(path: Path) -> dict[str, Any]:
    """The content of a ``sources.json``; empty if it cannot be read, so that the video is written again."""
    try:
        content = read_json(path)
    except AnnotationError:
        return {}
    return content if isinstance(content, dict) else {}
