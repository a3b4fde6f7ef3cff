"""The folder of an annotation project: its files, and the proposals of its clips.

::

    PROJECT/project.json                     the options that its proposals were made with
    PROJECT/clips.parquet                    all videos, with the reason for each that is left out (tavlo data index)
    PROJECT/proposals/<clip>.json            proposals of a clip, written once
    PROJECT/proposals.parquet                one row for each proposal of all clips
    PROJECT/frames/<clip>/<frame>.jpg        the proposed frames
    PROJECT/avatar/video/<clip>.mp4          link to the video
    PROJECT/avatar/metadata/<clip>/<frame>.json     the decisions, in AVATAR's layout
    PROJECT/journal/<clip>.jsonl             every decision, in order
    PROJECT/second/<name>/                   avatar/ and journal/ of an annotator who decided without proposals
    PROJECT/locks/<clip>.json                who works on a clip
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tavlo_pl.annotate.activity import Span
from tavlo_pl.annotate.frames import FORMAT, FrameRecord, parse_frame
from tavlo_pl.errors import AnnotationError, ConfigError, DatasetNotFoundError
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.parsing import brief, is_number, read_json

PROJECT_FILE = "project.json"
Tag = tuple[str, float]
"""Name of a class of sounds and its score in [0, 1]."""

LONGEST_CLIP_S = 3600.0
"""Maximum length of a clip, whose audio is read as a whole."""

LARGEST_PROPOSALS_BYTES = 256 * 2**20


@dataclass(frozen=True)
class ProposedFrame:
    """A frame that a person is asked to annotate.

    Attributes:
        record: number, time and size of the frame; its instances are the proposals.
        region: number of its audio-active region.
        sharpness: variance of the Laplacian.
        tags: names of the sound around it.
        heatmap: (h, w) raw scores as rows; None without a checkpoint.
    """

    record: FrameRecord
    region: int
    sharpness: float
    tags: tuple[Tag, ...] = ()
    heatmap: tuple[tuple[float, ...], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "number": self.record.number,
            "region": self.region,
            "sharpness": round(self.sharpness, 3),
            "tags": [list(tag) for tag in self.tags],
            "heatmap": self.heatmap and [list(row) for row in self.heatmap],
            **self.record.to_json(),
        }


@dataclass(frozen=True)
class ClipProposals:
    """What is proposed for a clip.

    Attributes:
        clip: its name.
        duration_s: length of its audio in seconds.
        label: its category in the list of labels, if there is one.
        regions: audio-active spans, ascending.
        frames: ascending by number.
    """

    clip: str
    duration_s: float
    label: str | None
    regions: tuple[Span, ...]
    frames: tuple[ProposedFrame, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": FORMAT,
            "clip": self.clip,
            "duration_s": round(self.duration_s, 4),
            "label": self.label,
            "regions": [[round(edge, 4) for edge in region] for region in self.regions],
            "frames": [frame.to_json() for frame in self.frames],
        }

    def frame(self, number: int) -> ProposedFrame | None:
        """The proposed frame with a number."""
        return next((frame for frame in self.frames if frame.record.number == number), None)


@dataclass(frozen=True)
class Project:
    """Paths of a project.

    Args:
        folder: its root.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> "Project":
        """An existing project.

        Raises:
            DatasetNotFoundError: the folder is no project.
            AnnotationError: its project file cannot be read.
        """
        project = cls(Path(folder))
        path = project.folder / PROJECT_FILE
        if not path.is_file():
            raise DatasetNotFoundError(
                f"{folder}: no annotation project; make one with tavlo annotate propose --root VIDEOS --out {folder}"
            )
        stored = read_json(path)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise AnnotationError(f"{path}: must be an object of format {FORMAT}; use the version that wrote it.")
        return project

    @property
    def avatar(self) -> Path:
        """The annotations in AVATAR's layout."""
        return self.folder / "avatar"

    @property
    def second(self) -> Path:
        """The folders of second annotators."""
        return self.folder / "second"

    def video(self, clip: str) -> Path:
        """The video of a clip."""
        return self.avatar / "video" / f"{clip}.mp4"

    def image(self, clip: str, frame: str) -> Path:
        """The JPEG file of a proposed frame."""
        return self.folder / "frames" / clip / f"{frame}.jpg"

    def proposals_path(self, clip: str) -> Path:
        """The file of a clip's proposals."""
        return self.folder / "proposals" / f"{clip}.json"

    def claim(self, options: Any) -> None:
        """Stores the options of a new project, and rejects a folder with others.

        Args:
            options: a dataclass.

        Raises:
            ConfigError: the folder contains something else, or proposals made with other options.
        """
        claim(OutputFolder(self.folder), options)

    def clips(self) -> list[str]:
        """Names of the clips with proposals, sorted."""
        return sorted(path.stem for path in (self.folder / "proposals").glob("*.json") if path.name[0] != ".")

    def proposals(self, clip: str) -> ClipProposals:
        """The proposals of a clip.

        Raises:
            AnnotationError: the file cannot be read.
        """
        path = self.proposals_path(clip)
        return parse_proposals(read_json(path, LARGEST_PROPOSALS_BYTES), clip, str(path))

    def all_proposals(self) -> Iterator[ClipProposals]:
        """The proposals of all clips, sorted by name."""
        return (self.proposals(clip) for clip in self.clips())


def claim(folder: OutputFolder, options: Any) -> None:
    """Stores the options of a new project; see `Project.claim`.

    Args:
        folder: of the project, which may be in object storage.
        options: a dataclass.
    """
    text = json.dumps({"format": FORMAT, "options": asdict(options)}, indent=1) + "\n"
    if folder.exists(PROJECT_FILE):
        if folder.read(PROJECT_FILE).decode("utf-8", "replace") != text:
            raise ConfigError(
                f"{folder.root} has proposals of other options ({folder.path(PROJECT_FILE)}); choose another --out"
            )
        return
    if folder.names():
        raise ConfigError(f"{folder.root} is not empty and has no {PROJECT_FILE}; choose another --out")
    with folder.new_file(PROJECT_FILE) as path:
        path.write_text(text, encoding="utf-8")


def parse_proposals(record: Any, clip: str, where: str) -> ClipProposals:
    """Checks and converts the value of a file of proposals.

    Args:
        record: the JSON value.
        clip: name of the clip.
        where: the file, for messages.

    Raises:
        AnnotationError: a field is missing or invalid.
    """
    remedy = "; delete the file and run tavlo annotate propose again."
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise AnnotationError(f"{where}: must be an object of format {FORMAT}{remedy}")
    duration_s: Any = record.get("duration_s")
    label = record.get("label")
    regions, frames = record.get("regions"), record.get("frames")
    is_length = is_number(duration_s) and 0 < duration_s <= LONGEST_CLIP_S
    if not is_length or not (label is None or isinstance(label, str)):
        raise AnnotationError(
            f"{where}: duration_s must be seconds, up to {LONGEST_CLIP_S:g}, and label a text{remedy}"
        )
    if not isinstance(regions, list) or not all(map(_is_span, regions)):
        raise AnnotationError(f"{where}: regions must be a list of [start, end], found {brief(regions)}{remedy}")
    if not isinstance(frames, list):
        raise AnnotationError(f"{where}: frames must be a list, found {brief(frames)}{remedy}")
    parsed = tuple(_parse_frame(frame, f"{where}: frames[{n}]") for n, frame in enumerate(frames))
    numbers = [frame.record.number for frame in parsed]
    if numbers != sorted(set(numbers)) or any(not 0 <= frame.region < len(regions) for frame in parsed):
        raise AnnotationError(f"{where}: its frames must ascend by number and name one of its regions{remedy}")
    spans = tuple((float(start), float(end)) for start, end in regions)
    return ClipProposals(clip, float(duration_s), label, spans, parsed)


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) and 0 <= value[0] <= value[1]


def _parse_frame(record: Any, where: str) -> ProposedFrame:
    if not isinstance(record, dict):
        raise AnnotationError(f"{where} must be an object, found {brief(record)}.")
    number, region = record.get("number"), record.get("region")
    sharp: Any = record.get("sharpness")
    if type(number) is not int or type(region) is not int or not 0 <= number < 10**9 or not is_number(sharp):
        raise AnnotationError(f"{where}: number and region must be integers and sharpness a number.")
    tags, heatmap = record.get("tags"), record.get("heatmap")
    if not isinstance(tags, list) or not all(
        isinstance(tag, list) and len(tag) == 2 and isinstance(tag[0], str) and is_number(tag[1]) for tag in tags
    ):
        raise AnnotationError(f"{where}: tags must be a list of [name, score], found {brief(tags)}.")
    if heatmap is not None and not _is_map(heatmap):
        raise AnnotationError(f"{where}: heatmap must be rows of scores of equal length, found {brief(heatmap)}.")
    return ProposedFrame(
        parse_frame(record, number, where),
        region,
        float(sharp),
        tuple((tag[0], float(tag[1])) for tag in tags),
        None if heatmap is None else tuple(tuple(map(float, row)) for row in heatmap),
    )


def _is_map(value: Any) -> bool:
    is_rows = isinstance(value, list) and bool(value) and all(isinstance(row, list) and row for row in value)
    return is_rows and len({len(row) for row in value}) == 1 and all(is_number(score) for row in value for score in row)
