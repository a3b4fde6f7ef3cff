"""The decisions of one pass over a project: a journal for each clip, and the annotations in AVATAR's layout.

A decision is appended to the journal of its clip and flushed to the disk, then the JSON file of its frame is replaced.
A process that is killed in between leaves a journal that is one record ahead; the next call completes the file. An
incomplete last line of a journal is a decision that was not confirmed, and is dropped.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tavlo_pl.annotate.frames import LONGEST_NAME, FrameRecord, parse_frame, read_frame
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import LARGEST_FILE_BYTES, brief

Action = Literal["set", "undo"]


@dataclass(frozen=True)
class Decision:
    """One record of a journal.

    Attributes:
        frame: state of the frame after it.
        action: ``undo`` returns to the state before the last ``set``.
        by: annotator.
        at: ISO 8601 in UTC.
    """

    frame: FrameRecord
    action: Action
    by: str
    at: str

    def to_line(self) -> str:
        """The line of the journal, without its end."""
        known = {"at": self.at, "by": self.by, "action": self.action, "frame": self.frame.number}
        return json.dumps(known | {"state": self.frame.to_json()})


@dataclass(frozen=True)
class Decisions:
    """Reads and saves decisions; calls for one clip must not overlap, which `ClipLocks` ensures.

    Args:
        root: the project, or the folder of a second annotator.
    """

    root: Path

    @property
    def metadata(self) -> Path:
        """The annotations in AVATAR's layout."""
        return self.root / "avatar" / "metadata"

    def path(self, clip: str, frame: FrameRecord) -> Path:
        """The file of a frame."""
        return self.metadata / clip / f"{frame.name}.json"

    def journal(self, clip: str) -> Path:
        """The journal of a clip."""
        return self.root / "journal" / f"{clip}.jsonl"

    def save(self, clip: str, frame: FrameRecord, by: str, action: Action = "set") -> None:
        """Saves a decision.

        Args:
            clip: its clip.
            frame: state of the frame after it.
            by: annotator.
            action: see `Decision`.

        Raises:
            AnnotationError: the journal is damaged; nothing is changed.
        """
        self.complete(clip)
        decision = Decision(frame, action, by, now())
        path = self.journal(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(_end_of_lines(path))
            file.write(decision.to_line().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._write(clip, frame)

    def undo(self, clip: str, initial: FrameRecord, by: str) -> FrameRecord:
        """Returns to the state before the last decision about a frame, and saves that.

        Args:
            clip: its clip.
            initial: state of the frame before the first decision.
            by: annotator.
        """
        history = self.history(clip, initial.number)
        if not history:
            return initial
        before = history[-2] if len(history) > 1 else initial
        self.save(clip, before, by, "undo")
        return before

    def frame(self, clip: str, initial: FrameRecord) -> FrameRecord:
        """The state of a frame; `initial` without a decision. A damaged file is replaced by the journal's state.

        Raises:
            AnnotationError: file and journal are damaged.
        """
        path = self.path(clip, initial)
        return self._read(clip, path) if path.is_file() else initial

    def frames(self, clip: str) -> list[FrameRecord]:
        """All decided frames of a clip, ascending by number; damaged files as in `frame`.

        Raises:
            AnnotationError: a file and the journal are damaged.
        """
        paths = (path for path in (self.metadata / clip).glob("*.json") if not path.name.startswith("."))
        return sorted((self._read(clip, path) for path in paths), key=lambda frame: frame.number)

    def clips(self) -> list[str]:
        """Names of the clips with decisions, sorted."""
        return sorted(path.name for path in self.metadata.iterdir()) if self.metadata.is_dir() else []

    def history(self, clip: str, number: int) -> list[FrameRecord]:
        """The states of a frame that undo returns to, from the first decision to the current state.

        Raises:
            AnnotationError: the journal is damaged.
        """
        states: list[FrameRecord] = []
        for decision in self.decisions(clip):
            if decision.frame.number == number:
                if decision.action == "set":
                    states.append(decision.frame)
                elif states:
                    states.pop()
        return states

    def decisions(self, clip: str) -> list[Decision]:
        """All records of the journal of a clip.

        Raises:
            AnnotationError: the journal is damaged.
        """
        return [_parse(line, f"{self.journal(clip)}: line {n}") for n, line in enumerate(self._lines(clip), 1)]

    def complete(self, clip: str) -> None:
        """Writes the file of the last decision if the process that made it was killed before.

        Raises:
            AnnotationError: the last record of the journal is damaged.
        """
        lines = self._lines(clip)
        if not lines:
            return
        last = _parse(lines[-1], f"{self.journal(clip)}: line {len(lines)}").frame
        path = self.path(clip, last)
        if not path.is_file() or path.read_bytes() != _text(last).encode():
            self._write(clip, last)

    def complete_all(self) -> list[str]:
        """Completes all clips; returns the error messages of damaged journals, which are left as they are.

        Files of earlier decisions that are missing are written too.
        """
        problems = []
        for path in sorted((self.root / "journal").glob("*.jsonl")):
            try:
                self.complete(path.stem)
                last = {decision.frame.number: decision.frame for decision in self.decisions(path.stem)}
                for frame in last.values():
                    if not self.path(path.stem, frame).is_file():
                        self._write(path.stem, frame)
            except AnnotationError as error:
                problems.append(str(error))
        return problems

    def _read(self, clip: str, path: Path) -> FrameRecord:
        """The frame of a file, or the state of the journal where the file is damaged."""
        try:
            return read_frame(path)
        except AnnotationError:
            history = self.history(clip, int(path.stem)) if path.stem.isdecimal() else []
            if not history:
                raise
            return history[-1]

    def _lines(self, clip: str) -> list[bytes]:
        path = self.journal(clip)
        if not path.is_file():
            return []
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise AnnotationError(f"{path}: more than {LARGEST_FILE_BYTES:,} bytes; move it to another folder.")
        data = path.read_bytes()
        return data[: data.rfind(b"\n") + 1].splitlines()

    def _write(self, clip: str, frame: FrameRecord) -> None:
        path = self.path(clip, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, _text(frame))


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _text(frame: FrameRecord) -> str:
    return json.dumps(frame.to_json()) + "\n"


def _end_of_lines(path: Path) -> int:
    """Size of a file without an incomplete last line."""
    return path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0


def _parse(line: bytes, where: str) -> Decision:
    remedy = "restore the file, or move it away: the annotations in avatar/metadata remain"
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{where} is no JSON ({error}); {remedy}.") from error
    if not isinstance(record, dict):
        raise AnnotationError(f"{where} must be an object, found {brief(record)}; {remedy}.")
    number, action = record.get("frame"), record.get("action")
    by, at = record.get("by"), record.get("at")
    if type(number) is not int or not 0 <= number < 10**9 or action not in ("set", "undo"):
        raise AnnotationError(f"{where}: frame must be a number and action set or undo; {remedy}.")
    if not isinstance(by, str) or not isinstance(at, str) or max(len(by), len(at)) > LONGEST_NAME:
        raise AnnotationError(f"{where}: by and at must be texts; {remedy}.")
    return Decision(parse_frame(record.get("state"), number, where), action, by, at)
