"""What every dataset reader hands on: clips, their annotated frames, and masks at any size."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.data import archive, media, segments
from tavlo_pl.data.checked import read_text
from tavlo_pl.data.time_limit import time_limit
from tavlo_pl.data.walk import files_below
from tavlo_pl.errors import AnnotationError, CorruptMediaError, DatasetNotFoundError
from tavlo_pl.types import SCENARIOS, Scenario

MOST_DIGITS = 9
"""Of a start in seconds; Python takes no number of thousands of digits."""

YOUTUBE_ID_LENGTH = 11

ClipKey = tuple[str, int | None]
"""YouTube id and start second; the start is None in lists that give the id alone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunLengths:
    """A COCO run-length mask: runs of 0 and 1 in turn, beginning with 0, down the columns from the left.

    Args:
        height: of the mask in pixels.
        width: of the mask in pixels.
        counts: lengths of the runs; they add up to height x width.
    """

    height: int
    width: int
    counts: tuple[int, ...]

    def raster(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(h, w) mask, each pixel taken from the pixel of the original under its centre."""
        height, width = size
        values = np.arange(len(self.counts)) % 2 == 1
        mask = np.repeat(values, self.counts).reshape(self.width, self.height).T
        rows = ((np.arange(height) + 0.5) * self.height / height).astype(int)
        columns = ((np.arange(width) + 0.5) * self.width / width).astype(int)
        return mask[np.ix_(rows, columns)]


@dataclass(frozen=True)
class Instance:
    """One annotated sound source of a frame.

    Args:
        category: what it is, in the dataset's words.
        scenario: the scenario it belongs to.
        polygons: flat ``(x0, y0, x1, y1, ...)`` in original pixels; the mask is their union.
        bbox: (left, top, width, height) in original pixels, used where nothing finer is given.
        rle: a run-length mask in place of polygons.
        box: (x0, y0, x1, y1) in original pixels, drawn as the evaluators of still pictures do: each edge cut down to a
            whole pixel of the mask, so that a narrow box may be empty.
        picture: a file whose pixels above 0 are the mask.
    """

    category: str
    scenario: Scenario
    polygons: tuple[tuple[float, ...], ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    rle: RunLengths | None = None
    box: tuple[float, float, float, float] | None = None
    picture: Path | None = None

    def raster(self, size: tuple[int, int], scale: tuple[float, float]) -> NDArray[np.bool_]:
        """(h, w) mask of the instance.

        Args:
            size: (h, w) of the mask.
            scale: mask pixels per original pixel, (x, y).
        """
        if self.rle is not None:
            return self.rle.raster(size)
        if self.picture is not None:
            return read_mask(self.picture, size)
        if self.box is not None:
            left, top, right, bottom = (max(0, int(edge * scale[n % 2])) for n, edge in enumerate(self.box))
            mask = np.zeros(size, bool)
            mask[top:bottom, left:right] = True
            return mask
        polygons = self.polygons or ((_corners(self.bbox),) if self.bbox is not None else ())
        mask = np.zeros(size, bool)
        for polygon in polygons:
            mask |= rasterise(np.reshape(polygon, (-1, 2)) * scale, size)
        return mask


@dataclass(frozen=True)
class AnnotatedFrame:
    """One annotated frame of a clip.

    Args:
        number: position of the frame in presentation order, from 0; None for the middle one.
        name: as in the file name, ``00254``.
        width: of the original picture, in the unit of its geometry.
        height: of the original picture, in the unit of its geometry.
        instances: the annotated sources.
        agreement: so many instances must cover a pixel to make it sound for certain (boxes of several annotators).
        time_s: when the frame is shown, where the data set says so.
    """

    number: int | None
    name: str
    width: int
    height: int
    instances: tuple[Instance, ...]
    agreement: int = 1
    time_s: float | None = None

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios of the frame, in the order of the enumeration; each makes one sample."""
        present = {instance.scenario for instance in self.instances}
        return tuple(scenario for scenario in SCENARIOS if scenario in present)

    def categories(self, scenario: Scenario) -> tuple[str, ...]:
        """Sorted categories of the scenario's instances."""
        return tuple(sorted({i.category for i in self.instances if i.scenario is scenario}))

    def sources(self, scenario: Scenario) -> int:
        """Number of the scenario's instances."""
        return sum(instance.scenario is scenario for instance in self.instances)

    def mask(self, scenario: Scenario, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(h, w) union of the scenario's instances; empty off-screen, where nothing in the picture sounds."""
        mask = np.zeros(size, bool)
        if scenario is not Scenario.OFF_SCREEN:
            for instance in self.instances:
                if instance.scenario is scenario:
                    mask |= instance.raster(size, (size[1] / self.width, size[0] / self.height))
        return mask

    def truth(self, scenario: Scenario, size: tuple[int, int]) -> NDArray[np.bool_] | NDArray[np.float32]:
        """(h, w) ground truth: `mask`, or where annotators must agree the share of ``agreement`` they reach."""
        if self.agreement == 1:
            return self.mask(scenario, size)
        votes = np.zeros(size, np.float32)
        for instance in self.instances:
            votes += instance.raster(size, (size[1] / self.width, size[0] / self.height))
        return np.minimum(votes / np.float32(self.agreement), np.float32(1))


@dataclass(frozen=True)
class Clip:
    """A span of a video file, and what is known about it.

    Args:
        sample_id: the key of everything that is written for the clip.
        path: the video file, or the tar archive that holds it.
        start_s: where the span begins on the file's clock.
        annotations: annotated frames, ascending by number.
        cross_event: whether the sounding source changes inside the clip.
        category: the label of the whole clip, if the dataset has one.
        member: name of the video inside of the archive ``path``.
    """

    sample_id: str
    path: Path
    start_s: float = 0.0
    annotations: tuple[AnnotatedFrame, ...] = ()
    cross_event: bool = False
    category: str | None = None
    member: str | None = None

    @property
    def file(self) -> media.MediaFile:
        """The video, read into memory where it lies in an archive.

        Raises:
            MediaError: the archive cannot be read, or not in any order (it is compressed).
        """
        if self.member is None:
            return self.path
        with time_limit(self.where):
            return archive.read_member(self.path, self.member)

    @property
    def where(self) -> str:
        """What messages call the file."""
        return str(self.path) if self.member is None else archive.label(self.path, self.member)

    def read(self, times_s: Sequence[float], size: tuple[int, int], duration_s: float) -> media.DecodedClip:
        """The frames shown at some times of the file's clock, and the sound of the span.

        Args:
            times_s: T times in seconds.
            size: height and width of the frames in pixels.
            duration_s: length of the span.

        Raises:
            MediaError: the clip cannot be read.
        """
        return media.read_clip(self.file, times_s, size, self.start_s, duration_s)

    def read_waveform(self, duration_s: float) -> NDArray[np.float32]:
        """(L,) sound of the span, mono at 16 kHz.

        Raises:
            MediaError: it cannot be read.
        """
        return media.read_waveform(self.file, self.start_s, duration_s)

    def frame_times(self) -> NDArray[np.float64]:
        """(N,) presentation times of all frames of the file.

        Raises:
            MediaError: they cannot be read.
        """
        return media.frame_times(self.file)

    def check_picture(self, shown_s: NDArray[np.float64], parts: int, duration_s: float) -> None:
        """Refuses a picture that begins late or ends early, by more than a segment.

        Args:
            shown_s: presentation times of the frames that are shown in the span, ascending.
            parts: segments of the span.
            duration_s: length of the span.

        Raises:
            CorruptMediaError: it does.
        """
        limits = self.start_s + segments.edges(parts, duration_s)
        if shown_s[0] > limits[1]:
            raise CorruptMediaError(
                f"{self.where}: the picture begins at {shown_s[0]:.2f} s, after the first segment; leave this clip out."
            )
        if shown_s[-1] < limits[-2]:  # an old frame in the last segment: is it held on purpose, or the end?
            end_s = media.picture_end_s(self.frame_times())
            if end_s < limits[-2] - segments.TIME_TOLERANCE_S:
                raise CorruptMediaError(
                    f"{self.where}: the picture ends at {end_s:.2f} s, more than a segment before the span "
                    f"does ({limits[-1]:.2f} s); leave this clip out, or download it again."
                )


class ClipSource(ABC):
    """A dataset: where its clips lie and how they are annotated."""

    @abstractmethod
    def clips(self) -> Sequence[Clip]:
        """All clips, sorted by ``sample_id`` (then by start).

        Raises:
            DatasetNotFoundError: a folder or list is missing, or no clip is left.
            AnnotationError: a list or an annotation cannot be read.
        """

    def sample_ids(self) -> list[str]:
        """``sample_id`` of all clips; without their media where the data set lists them elsewhere."""
        return [clip.sample_id for clip in self.clips()]

    def check_form(self, parts: int, duration_s: float) -> None:  # noqa: B027
        """Refuses segments that the clips cannot be shown in; video files can be in any.

        Args:
            parts: T, segments of a clip.
            duration_s: length of a clip's span.

        Raises:
            ConfigError: the clips hold no frame for each such segment.
        """


class LazyClips(Sequence[Clip]):
    """Clips that are made when they are asked for; their names are at hand."""

    @abstractmethod
    def sample_ids(self) -> list[str]:
        """``sample_id`` of all clips."""


def rasterise(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centre lies inside a polygon (even-odd rule).

    Drawing libraries also fill the pixels that an outline merely touches, which makes small objects larger. A
    polygon that holds no pixel's centre keeps the pixel at its middle: a source in the picture never has an
    empty mask.

    Args:
        points: (N, 2) corners (x, y) in pixels of the mask, where pixel 0 covers [0, 1).
        size: (h, w) of the mask.
    """
    height, width = size
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    centres = np.arange(height) + 0.5
    edge, row = np.nonzero((y0[:, None] <= centres) != (y1[:, None] <= centres))
    crossing = x0[edge] + (centres[row] - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    toggles = np.zeros((height, width + 1), int)
    np.add.at(toggles, (row, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)), 1)
    mask = np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
    if not mask.any():
        column, line = np.clip(points.mean(axis=0).astype(int), 0, (width - 1, height - 1))
        mask[line, column] = True
    return mask


def read_mask(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """(h, w) mask of a picture's pixels above 0, the nearest one for each of the wanted size.

    Raises:
        AnnotationError: no picture, or one of more pixels than Pillow takes from strangers.
    """
    try:
        with Image.open(path) as picture:
            grey = picture.convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"{path}: no picture that holds a mask ({error}); unpack it again.") from error
    return np.asarray(grey if size is None else grey.resize(size[::-1], Image.Resampling.NEAREST)) > 0


def fingerprint(clips: Sequence[Clip]) -> dict[str, Any]:
    """Number and sha256 of clips: two lists with the same one are the same data, as far as that can be told without
    reading videos."""
    lazy = isinstance(clips, LazyClips)
    digest = sha256()
    for facts in clips.sample_ids() if isinstance(clips, LazyClips) else map(_facts, clips):
        digest.update(f"{facts}\0".encode("utf-8", "backslashreplace"))
    return {"clips": len(clips), "sha256": digest.hexdigest(), "by": "names" if lazy else "names, sizes, annotations"}


def _facts(clip: Clip) -> str:
    try:
        size = os.stat(clip.path).st_size
    except OSError:
        size = None
    return repr((clip.sample_id, clip.member, clip.start_s, size, clip.annotations))


def clip_key(name: str) -> ClipKey:
    """Id and start of ``<id>_<start>``, split at the last underscore, since ids hold underscores too.

    The start is compared as a number: AVATAR writes five digits, VGGSound six.

    >>> clip_key("l_7B1wnTNtA_00020"), clip_key("l_7B1wnTNtA_000020.mp4"), clip_key("l_7B1wnTNtA")
    (('l_7B1wnTNtA', 20), ('l_7B1wnTNtA', 20), ('l_7B1wnTNtA', None))
    """
    name = name.removesuffix(".mp4")
    head, _, tail = name.rpartition("_")
    if head and tail.isdecimal() and len(tail) <= MOST_DIGITS and len(name) != YOUTUBE_ID_LENGTH:
        return head, int(tail)
    return name, None


def read_ids(path: Path) -> set[ClipKey]:
    """The clips of a text file with one id, or ``<id>_<start>``, a line.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: it is no text.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such list of clip ids; expected one id a line.")
    lines = read_text(path).split()
    return {clip_key(line) for line in lines}


def is_listed(key: ClipKey, ids: Collection[ClipKey]) -> bool:
    """Whether a clip is in a list of ids, by id and start or by id alone."""
    return key in ids or (key[0], None) in ids


def videos_below(root: Path) -> dict[ClipKey, Path]:
    """The files ``<id>_<start>.mp4`` in whatever folders below; where a clip lies there twice, the first by path.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    return {clip_key(path.stem): path for path in reversed(video_files(root))}


def video_files(root: Path) -> list[Path]:
    """All mp4 files in whatever folders below, by path.

    Raises:
        DatasetNotFoundError: no such folder.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder; expected files <id>_<start>.mp4 in it.")
    return sorted(path for path in files_below(root) if path.suffix == ".mp4" and path.name[0] != ".")


def report_missing(dataset: str, missing: Sequence[str], wanted: int, what: str) -> None:
    """One log line about clips that are left out; downloads of these datasets are never complete."""
    if missing:
        log.warning("%s: %d of %d clips have no %s (%s, ...).", dataset, len(missing), wanted, what, missing[0])


def _corners(bbox: tuple[float, float, float, float]) -> tuple[float, ...]:
    left, top, width, height = bbox
    return (left, top, left + width, top, left + width, top + height, left, top + height)
