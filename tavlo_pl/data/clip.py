"""Clips and clip sources: the interface of all dataset readers."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data import media, segments
from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.media import archive
from tavlo_pl.errors import CorruptMediaError
from tavlo_pl.io.remote import VideoPath
from tavlo_pl.io.timeout import time_limit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """A span of a video file, with its annotations.

    Args:
        sample_id: the key of everything that is written for the clip.
        path: the video file, which may be at an address, or the tar archive that holds it.
        start_s: start of the span on the file's clock.
        annotations: annotated frames, ascending by number.
        cross_event: whether the sounding source changes inside the clip.
        category: the label of the whole clip, if the dataset has one.
        member: name of the video in the archive ``path``.
    """

    sample_id: str
    path: VideoPath
    start_s: float = 0.0
    annotations: tuple[AnnotatedFrame, ...] = ()
    cross_event: bool = False
    category: str | None = None
    member: str | None = None

    @property
    def file(self) -> media.MediaFile:
        """The video file; the video of an archive is read into memory.

        Raises:
            MediaError: the archive cannot be read, or is compressed and has no random access.
        """
        if self.member is None or self.archive is None:
            return self.path
        with time_limit(self.where):
            return archive.read_member(self.archive, self.member)

    @property
    def archive(self) -> Path | None:
        """The tar archive that holds the video; None for a file of its own. Archives at addresses are not read."""
        return self.path if self.member is not None and isinstance(self.path, Path) else None

    @property
    def where(self) -> str:
        """The file, for messages."""
        return str(self.path) if self.member is None else archive.label(self.path, self.member)

    def read(self, times_s: Sequence[float], size: tuple[int, int], duration_s: float) -> media.DecodedClip:
        """Reads the frames at some times of the file's clock, and the audio of the span.

        Args:
            times_s: T times in seconds.
            size: height and width of the frames in pixels.
            duration_s: length of the span.

        Raises:
            MediaError: the clip cannot be read.
        """
        return media.read_clip(self.file, times_s, size, self.start_s, duration_s)

    def read_waveform(self, duration_s: float) -> NDArray[np.float32]:
        """(L,) audio of the span, mono at 16 kHz.

        Raises:
            MediaError: the audio cannot be read.
        """
        return media.read_waveform(self.file, self.start_s, duration_s)

    def part(self, offset_s: float) -> "Clip":
        """The clip from a later moment on, without annotations.

        Args:
            offset_s: seconds after the start of the span.
        """
        return replace(self, start_s=self.start_s + offset_s, annotations=())

    def drawn(self, rng: np.random.Generator) -> "Clip":  # noqa: ARG002  # for clips that are made
        """The clip as training shows it in one epoch; a clip that is made when it is read may draw its content anew.

        Args:
            rng: decides everything that is drawn.
        """
        return self

    @property
    def training_segments(self) -> int | None:
        """Segments of a training item of this clip; None for those that ``data.clip`` and ``data.augment`` give."""
        return None

    def frame_times(self) -> NDArray[np.float64]:
        """(N,) presentation times of all frames of the file.

        Raises:
            MediaError: the file cannot be read.
        """
        return media.frame_times(self.file)

    def check_video_length(self, shown_s: NDArray[np.float64], parts: int, duration_s: float) -> None:
        """Rejects a video stream that starts late or ends early by more than a segment.

        Args:
            shown_s: presentation times of the frames that are shown in the span, ascending.
            parts: segments of the span.
            duration_s: length of the span.

        Raises:
            CorruptMediaError: the stream starts late or ends early.
        """
        limits = self.start_s + segments.edges(parts, duration_s)
        if shown_s[0] > limits[1]:
            raise CorruptMediaError(
                f"{self.where}: the video stream begins at {shown_s[0]:.2f} s, after the first segment; "
                "leave this clip out."
            )
        if shown_s[-1] < limits[-2]:  # one frame for the whole last segment: either it is held, or the stream ends
            end_s = media.video_end_s(self.frame_times())
            if end_s < limits[-2] - segments.TIME_TOLERANCE_S:
                raise CorruptMediaError(
                    f"{self.where}: the video stream ends at {end_s:.2f} s, more than a segment before the span "
                    f"does ({limits[-1]:.2f} s); leave this clip out, or download it again."
                )


class ClipSource(ABC):
    """A dataset: its clips and their annotations.

    Attributes:
        protocol: name of the evaluation protocol that is the default for its annotations.
    """

    protocol: ClassVar[str] = "avatar_per_frame"

    @abstractmethod
    def clips(self) -> Sequence[Clip]:
        """All clips, sorted by ``sample_id`` (then by start).

        Raises:
            DatasetNotFoundError: a folder or list is missing, or there are no clips.
            AnnotationError: a list or an annotation cannot be read.
        """

    def sample_ids(self) -> list[str]:
        """``sample_id`` of all clips, without opening media if the data set has a list."""
        return [clip.sample_id for clip in self.clips()]

    def check_spec(self, parts: int, duration_s: float) -> None:  # noqa: B027
        """Rejects segments that the clips do not support; video files support all.

        Args:
            parts: T, segments of a clip.
            duration_s: length of a clip's span.

        Raises:
            ConfigError: the clips do not have a frame for each segment.
        """


class LazyClips(Sequence[Clip]):
    """A sequence of clips that are created on access; their names are available without it."""

    @abstractmethod
    def sample_ids(self) -> list[str]:
        """``sample_id`` of all clips."""

    def training_groups(self) -> "list[TrainingGroup]":
        """The clips in consecutive groups; see `TrainingGroup`."""
        return [TrainingGroup(len(self), None)]


class TrainingGroup(NamedTuple):
    """Consecutive clips whose training items have equally many segments, so that they can be in one batch.

    Attributes:
        clips: number of clips.
        segments: `Clip.training_segments` of each.
    """

    clips: int
    segments: int | None


def training_groups(clips: Sequence[Clip]) -> list[TrainingGroup]:
    """The groups of clips of which a batch is made; clips that are not `LazyClips` are one group."""
    return clips.training_groups() if isinstance(clips, LazyClips) else [TrainingGroup(len(clips), None)]


def fingerprint(clips: Sequence[Clip]) -> dict[str, Any]:
    """Number and sha256 of clips, from their names and file sizes."""
    lazy = isinstance(clips, LazyClips)
    digest = sha256()
    for facts in clips.sample_ids() if isinstance(clips, LazyClips) else map(_facts, clips):
        digest.update(f"{facts}\0".encode("utf-8", "backslashreplace"))
    return {"clips": len(clips), "sha256": digest.hexdigest(), "by": "names" if lazy else "names, sizes, annotations"}


def _facts(clip: Clip) -> str:
    try:
        size = os.stat(clip.path).st_size if isinstance(clip.path, Path) else clip.path.size
    except OSError:
        size = None
    return repr((clip.sample_id, clip.member, clip.start_s, size, clip.annotations))
