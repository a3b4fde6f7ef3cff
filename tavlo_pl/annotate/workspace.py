"""What the page of ``tavlo annotate serve`` reads and saves: the queue, states of frames, and the sound of clips."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from tavlo_pl.annotate import decode
from tavlo_pl.annotate.decisions import Decisions, now
from tavlo_pl.annotate.decode import Decoder
from tavlo_pl.annotate.frames import PERSON, FrameInstance, FrameRecord, Provenance, parse_frame
from tavlo_pl.annotate.locks import ClipLocks, Holder
from tavlo_pl.annotate.project import ClipProposals, Project, ProposedFrame
from tavlo_pl.annotate.segmenters import PromptedMasks, Segmenter
from tavlo_pl.errors import AnnotationError, ConfigError, MediaError, TavloError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.io.images import decode_image

Order = Literal["uncertain", "clips"]

CLIPS_IN_MEMORY = 64
LARGEST_IMAGE_BYTES = 2**26
LONGEST_NAME = 40


class ConflictError(TavloError):
    """The clip is locked by another annotator."""


@dataclass
class QueueEntry:
    """A frame of the queue.

    Attributes:
        clip: position of its clip.
        number: of the frame.
        status: of the frame.
        uncertainty: of its proposals in [0, 1].
    """

    clip: int
    number: int
    status: str
    uncertainty: float


class Workspace:
    """One pass over a project.

    Args:
        project: the project.
        blind: annotator of a second pass, without proposals and first decisions; None for the first pass.
        share: share of the clips that a second pass draws.
        segmenter: makes masks of clicks; None for none.

    Raises:
        ConfigError: there is no clip.
        AnnotationError: proposals or annotations cannot be read.
    """

    def __init__(
        self, project: Project, blind: str | None = None, share: float = 1.0, segmenter: Segmenter | None = None
    ) -> None:
        self.project, self.blind = project, blind
        self.masks = None if segmenter is None else PromptedMasks(segmenter)
        root = project.folder if blind is None else project.second / check_name(blind)
        self.decisions = Decisions(root)
        self.locks = ClipLocks(root / "locks")
        self.problems = self.decisions.complete_all()
        self.clips = [clip for clip in project.clips() if blind is None or is_drawn(clip, share)]
        if not self.clips:
            raise ConfigError(f"{project.folder} has no clip to annotate; make proposals, or raise --share")
        self._saving = Lock()
        self._decoder = Decoder()
        self._view = lru_cache(None)(partial(self._decoder.run, decode.view))
        self._frame_time = lru_cache(None)(partial(self._decode, decode.frame_time))
        self._proposals = lru_cache(CLIPS_IN_MEMORY)(project.proposals)
        self.categories: set[str] = set()
        self.queue: dict[tuple[int, int], QueueEntry] = {}
        for position, clip in enumerate(self.clips):
            self._add_clip(position, project.proposals(clip))

    def _add_clip(self, position: int, proposals: ClipProposals) -> None:
        decided = {frame.number: frame for frame in self.decisions.frames(proposals.clip)}
        initial = {frame.record.number: self._initial(frame) for frame in proposals.frames}
        for number, record in sorted((initial | decided).items()):
            asked = record if record.status == "open" else initial.get(number, record)
            entry = QueueEntry(position, number, record.status, 0.0 if self.blind else uncertainty(asked.instances))
            self.queue[position, number] = entry
            self.categories |= {each.instance.category for each in record.instances}
        if self.blind is None:
            self.categories |= {tag for frame in proposals.frames for tag, _ in frame.tags}

    def entries(self, order: Order) -> list[QueueEntry]:
        """The queue: by decreasing uncertainty, or by clip and time."""
        entries = list(self.queue.values())
        return sorted(entries, key=lambda each: -each.uncertainty) if order == "uncertain" else entries

    def frame(self, position: int, number: int) -> dict[str, Any]:
        """What the page shows of a frame.

        Raises:
            AnnotationError: its files cannot be read.
        """
        clip = self.clips[position]
        proposals, proposed = self._proposed(position, number)
        record = self.decisions.frame(clip, self._initial(proposed))
        hidden = self.blind is not None
        time_s = record.time_s
        if time_s is None:  # of an imported frame
            time_s = self._frame_time(position, number)
        return {
            "clip": clip,
            "state": record.to_json()["tavlo"],
            "width": record.width,
            "height": record.height,
            "time_s": time_s,
            "undo": len(self.decisions.history(clip, number)),
            "duration_s": proposals.duration_s,
            "regions": [list(region) for region in proposals.regions],
            "tags": [] if hidden else [list(tag) for tag in proposed.tags],
            "heatmap": None if hidden or proposed.heatmap is None else [list(row) for row in proposed.heatmap],
        }

    def save(self, position: int, number: int, state: Any, session: str, annotator: str) -> dict[str, Any]:
        """Saves a state of a frame that the page sent; returns what the page shows of it.

        Raises:
            ConflictError: another session has the lock of the clip.
            AnnotationError: the state is invalid, or a file is damaged.
        """
        clip = self.clips[position]
        initial = self._initial(self._proposed(position, number)[1])
        value = {"original_width": initial.width, "original_height": initial.height, "time_s": initial.time_s}
        record = parse_frame(value | {"tavlo": state}, number, "the frame")
        with self._saving:
            self._check_lock(position, session, annotator)
            before = {each.id: each for each in self.decisions.frame(clip, initial).instances}
            instances = tuple(
                _with_provenance(each, before.get(each.id), self._proposer(each), annotator)
                for each in record.instances
            )
            record = replace(record, instances=instances)
            self.decisions.save(clip, record, annotator)
            self._note(position, record)
        return self.frame(position, number)

    def segment(self, position: int, number: int, prompt: Any) -> dict[str, Any]:
        """A mask of clicks or a box, in AVATAR's fields; nothing is saved.

        Raises:
            ConfigError: there is no segmenter.
            AnnotationError: the prompt is invalid, or the segmenter finds nothing.
        """
        if self.masks is None:
            raise ConfigError("start the page with --segmenter to make masks of clicks")
        try:
            image = decode_image(self.image(position, number), "RGB")
        except ValueError as error:
            raise AnnotationError(f"clip {self.clips[position]}, frame {number}: damaged image ({error})") from error
        return self.masks.make(np.asarray(image), prompt)

    def undo(self, position: int, number: int, session: str, annotator: str) -> dict[str, Any]:
        """Returns to the state before the last decision; the errors are those of `save`."""
        clip = self.clips[position]
        initial = self._initial(self._proposed(position, number)[1])
        with self._saving:
            self._check_lock(position, session, annotator)
            self._note(position, self.decisions.undo(clip, initial, annotator))
        return self.frame(position, number)

    def video(self, position: int) -> tuple[Path, str]:
        """A file that browsers play, and its media type; other videos are converted once."""
        path = self.project.video(self.clips[position])
        copy = self.project.folder / "view" / f"{self.clips[position]}.mp4"
        kind = self._view(path, copy)
        return (copy, "video/mp4") if kind is None else (path, kind)

    def image(self, position: int, number: int) -> bytes:
        """The JPEG file of a frame; decoded from the video where the project lacks it."""
        path = self.project.image(self.clips[position], f"{number:05d}")
        if path.is_file():
            return read_bytes(path, LARGEST_IMAGE_BYTES, MediaError)
        image: bytes = self._decode(decode.image, position, number)
        return image

    def peaks(self, position: int) -> list[float]:
        """The waveform of a clip; see `sound.peaks`."""
        found: list[float] = self._decode(decode.peaks, position, self._proposals(self.clips[position]).duration_s)
        return found

    def spectrogram(self, position: int) -> bytes:
        """The spectrogram of a clip; see `sound.spectrogram_png`."""
        duration_s = self._proposals(self.clips[position]).duration_s
        found: bytes = self._decode(decode.spectrogram, position, duration_s)
        return found

    def take(self, position: int, session: str, annotator: str) -> Holder:
        """Takes or renews the lock of a clip; see `ClipLocks.take`."""
        return self.locks.take(self.clips[position], session, annotator)

    def release(self, position: int, session: str) -> None:
        """Frees the lock of a clip."""
        self.locks.release(self.clips[position], session)

    def locked(self) -> dict[int, Holder]:
        """Who works on which clip, by its position."""
        positions = {clip: position for position, clip in enumerate(self.clips)}
        return {positions[clip]: holder for clip, holder in self.locks.holders().items() if clip in positions}

    def close(self) -> None:
        """Ends all work on videos."""
        self._decoder.close()

    def _decode(self, task: Callable[..., Any], position: int, *arguments: Any) -> Any:
        return self._decoder.run(task, self.project.video(self.clips[position]), *arguments)

    def _proposed(self, position: int, number: int) -> tuple[ClipProposals, ProposedFrame]:
        """The proposals of a frame; of an imported frame, one without proposals."""
        clip = self.clips[position]
        proposals = self._proposals(clip)
        frame = proposals.frame(number)
        if frame is None:
            decided = next((each for each in self.decisions.frames(clip) if each.number == number), None)
            if decided is None:
                raise AnnotationError(f"clip {clip} has no frame {number}")
            frame = ProposedFrame(replace(decided, status="open", instances=()), 0, 0.0)
        return proposals, frame

    def _initial(self, frame: ProposedFrame) -> FrameRecord:
        """The state before the first decision."""
        return frame.record if self.blind is None else replace(frame.record, instances=())

    def _check_lock(self, position: int, session: str, annotator: str) -> None:
        holder = self.take(position, session, annotator)
        if holder.session != session:
            raise ConflictError(f"{holder.annotator} works on this clip; nothing was saved")

    def _proposer(self, each: FrameInstance) -> Provenance:
        """Who made the geometry of an instance that a page sent: the segmenter or a person."""
        made = self.masks.score(each.instance) if self.masks is not None else None
        return Provenance(PERSON) if self.masks is None or made is None else Provenance(self.masks.name, made)

    def _note(self, position: int, record: FrameRecord) -> None:
        entry = self.queue[position, record.number]
        entry.status = record.status
        self.categories |= {each.instance.category for each in record.instances if each.status == "accepted"}


def uncertainty(instances: Sequence[FrameInstance]) -> float:
    """In [0, 1]: the mean of 1 - |2 p - 1| over proposals with a score p; 1 without any."""
    scores = [each.provenance.score for each in instances if each.provenance.score is not None]
    return sum(1 - abs(2 * score - 1) for score in scores) / len(scores) if scores else 1.0


def is_drawn(clip: str, share: float) -> bool:
    """Whether a clip is in a share of all clips; a larger share contains the clips of a smaller one."""
    digest = hashlib.sha256(clip.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def check_name(name: str) -> str:
    """The name of an annotator, which is the name of a folder too.

    Raises:
        ConfigError: it is empty, too long, or has other characters than letters, digits, blanks, ``-``, ``_``, ``.``.
    """
    plain = name.strip()
    if not 0 < len(plain) <= LONGEST_NAME or plain[0] == "." or not all(c.isalnum() or c in " -_." for c in plain):
        raise ConfigError(
            f"annotator {name[:LONGEST_NAME]!r}: a name has 1 to {LONGEST_NAME} letters, digits, blanks, - _ or ."
        )
    return plain


def _with_provenance(
    each: FrameInstance, before: FrameInstance | None, proposer: Provenance, annotator: str
) -> FrameInstance:
    """Sets the provenance of an instance that a page sent, by what it was before and by who made its geometry."""
    if before is not None and _facts(each) == _facts(before):
        return replace(each, provenance=before.provenance)
    known = proposer
    if before is not None and (_geometry(each) == _geometry(before) or before.provenance.by != proposer.by):
        is_edited = before.provenance.by != PERSON and _geometry(each) != _geometry(before)
        known = replace(before.provenance, edited=before.provenance.edited or is_edited)
    return replace(each, provenance=replace(known, confirmed_by=annotator, confirmed_at=now()))


def _facts(each: FrameInstance) -> Mapping[str, Any]:
    return {name: value for name, value in each.to_json().items() if name != "provenance"}


def _geometry(each: FrameInstance) -> tuple[Any, Any]:
    facts = each.to_json()
    return facts.get("segmentation"), facts.get("bbox")
