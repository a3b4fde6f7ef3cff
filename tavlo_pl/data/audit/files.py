"""Audit of the lists and files of an experiment: leakage, duplicates, missing files, bad streams, frame numbers.

The audit accepts all kinds of lists that name clips (see `read_listing`), and opens files only if their folder is
given.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from tavlo_pl.data import media
from tavlo_pl.data.audit.frame_offset import OFFSETS, Fit, agreed_base, fit_frames
from tavlo_pl.data.clip_ids import YOUTUBE_ID_LENGTH, ClipKey, clip_key
from tavlo_pl.data.datasets.avatar import AVATAR, find_part
from tavlo_pl.data.datasets.json_list import read_list, text_of
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.index.table import Index
from tavlo_pl.data.leakage import video_of
from tavlo_pl.data.segments import TOLERANCE_S
from tavlo_pl.data.video_files import LeftOut, video_files, videos_below
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError, MediaError
from tavlo_pl.io.parsing import read_text

Side = Literal["train", "test"]


@dataclass(frozen=True)
class Listing:
    """The clips that one argument of the audit lists.

    Attributes:
        path: the argument.
        kind: description of the recognised format.
        names: ``<id>_<start>`` or ``<id>`` of each entry, in order, with duplicates.
        files: the file of each clip that exists; None if no folder of videos is known.
        metadata: folder of AVATAR's annotations.
        left_out: files of the folder that are no videos to read.
    """

    path: Path
    kind: str
    names: tuple[str, ...]
    files: dict[ClipKey, Path] | None = None
    metadata: Path | None = None
    left_out: LeftOut = field(default_factory=LeftOut)

    @cached_property
    def clips(self) -> dict[ClipKey, str]:
        """The distinct clips, by the name of their first entry."""
        return {clip_key(name): name for name in reversed(self.names)}

    @property
    def videos(self) -> int:
        """Number of YouTube videos that the clips are cut from."""
        return len({video_of(key) for key in self.clips})

    @property
    def other_names(self) -> int:
        """Number of clips whose name has no YouTube id; they are compared by the whole name."""
        return sum(len(head) != YOUTUBE_ID_LENGTH for head, _ in self.clips)

    @property
    def repeated(self) -> dict[str, int]:
        """Entries of each clip with several entries."""
        counts = Counter(clip_key(name) for name in self.names)
        return {self.clips[key]: count for key, count in counts.items() if count > 1}

    @property
    def found(self) -> dict[str, Path]:
        """File of each clip that has one; a name without a start matches any clip of its video."""
        files = self.files or {}
        by_id = {head: path for (head, _), path in files.items()}
        paths = (
            (name, files.get(key) or (by_id.get(key[0]) if key[1] is None else None))
            for key, name in self.clips.items()
        )
        return {name: path for name, path in paths if path is not None}

    @property
    def missing(self) -> list[str] | None:
        """Clips without a file; None if no folder is known."""
        if self.files is None:
            return None
        found = self.found
        return [name for name in self.clips.values() if name not in found]


def read_listing(path: Path, side: Side, videos: Path | None = None) -> Listing:
    """Reads a list of clips.

    Supported are an index of ``tavlo data index`` (its selected clips of the side's split); a text file of ids, one per
    line; ``vggsound.csv`` (the rows of the side's split) and ``vggsound_test.csv``; ``vggss.json``; AVATAR's root or
    its ``metadata``; VGGSound's root, with its table; and any folder of videos.

    Args:
        path: a file or folder of one of these kinds.
        side: which split of a table with both.
        videos: folder of the videos, if the list is not in the same place.

    Raises:
        DatasetNotFoundError: the path does not exist or has no clips.
        AnnotationError: the file cannot be read as the recognised format.
    """
    if path.is_dir():
        listing = _read_folder(path, side)
    elif not path.is_file():
        raise DatasetNotFoundError(f"--{side} {path}: nothing there; give a list of clips or a folder of a data set.")
    elif path.suffix == ".csv":
        listing = _read_csv(path, side)
    elif path.suffix == ".parquet":
        listing = _read_index(path, side)
    elif path.suffix == ".json":
        entries = read_list(path, "entries {file, class, bbox} of VGG-SS")
        listing = Listing(path, "VGG-SS", tuple(text_of(entry, "file", where) for where, entry in entries))
    else:
        listing = Listing(path, "list of ids", tuple(_read_ids(path)))
    if not listing.names:
        raise DatasetNotFoundError(f"--{side} {path}: no clip in it; expected clips <id>_<start>, or ids, one a line.")
    if videos is None:
        return listing
    left_out = LeftOut()
    return replace(listing, files=videos_below(videos, left_out), left_out=left_out)


def _read_folder(path: Path, side: Side) -> Listing:
    root = path.parent if path.name == "metadata" else path
    metadata, video, table = find_part(root, "metadata"), find_part(root, "video"), path / "vggsound.csv"
    left_out = LeftOut()
    if metadata is not None:
        files = videos_below(video, left_out) if video is not None else None
        return Listing(path, "AVATAR", tuple(AVATAR(str(root)).sample_ids()), files, metadata, left_out)
    found = video_files(path, left_out)
    files = {clip_key(file.stem): file for file in reversed(found)}
    if table.is_file():
        return replace(_read_csv(table, side), path=path, files=files, left_out=left_out)
    return Listing(path, "folder of videos", tuple(file.stem for file in found), files, left_out=left_out)


def _read_csv(path: Path, side: Side) -> Listing:
    rows = read_table(path)
    splits = {split for _, _, split in rows}
    chosen = [key for key, _, split in rows if split == side or side not in splits]
    names = (head if start is None else f"{head}_{start:06d}" for head, start in chosen)
    return Listing(path, f"VGGSound, {side if side in splits else ''.join(splits)} split", tuple(names))


def _read_index(path: Path, side: Side) -> Listing:
    """Files are known if none of them is in an archive or at an address."""
    try:
        split: Side | None = side
        clips = Index(str(path), split).selected()
    except DatasetNotFoundError:
        split = None
        clips = Index(str(path), split).selected()
    files = {clip_key(c.sample_id): c.path for c in clips if c.member is None and isinstance(c.path, Path)}
    kind = f"index, {split} split" if split is not None else "index"
    return Listing(path, kind, tuple(clips.sample_ids()), files if len(files) == len(clips) else None)


def _read_ids(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if len(words) > 1:
            raise AnnotationError(
                f"{path}, line {number}: expected one id or <id>_<start> a line, found {line[:60]!r}."
            )
        yield from words


class Checked(NamedTuple):
    """Result of reading the file of one clip.

    Attributes:
        name: of the clip.
        unreadable: message of the error if reading failed.
        video_s: end of the video stream on the clip's clock, in seconds.
        audio_s: end of the audio; None without an audio stream.
        frames: fit of each annotated frame, by its name.
    """

    name: str
    unreadable: str | None = None
    video_s: float = 0.0
    audio_s: float | None = None
    frames: Mapping[str, Fit] = MappingProxyType({})


def check_files(listing: Listing, done: Callable[[], object]) -> list[Checked]:
    """Opens every existing file, on all cores, and compares AVATAR's images with its frames.

    Frames and audio are read as packets, without decoding; only the frames around an annotated one are decoded.

    Args:
        listing: the clips.
        done: called after each file.
    """

    def check(entry: tuple[str, Path]) -> Checked:
        name, path = entry
        checked = check_file(name, path, listing.metadata / name if listing.metadata is not None else None)
        done()
        return checked

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # threads suffice: FFmpeg releases the GIL
        return list(pool.map(check, listing.found.items()))


def check_file(name: str, path: Path, metadata: Path | None = None) -> Checked:
    """Reads one file; see `check_files`."""
    try:
        video_s = media.video_end_s(media.frame_times(path))
        audio_s = media.probe_audio_duration(path) if media.probe(path).has_audio else None
        frames = fit_frames(path, metadata) if metadata is not None else {}
    except MediaError as error:
        return Checked(name, unreadable=str(error))
    return Checked(name, video_s=video_s, audio_s=audio_s, frames=frames)


def report(listing: Listing, checked: Sequence[Checked], duration_s: float) -> dict[str, Any]:
    """The results of one side, as in ``audit.json``.

    Args:
        listing: the clips.
        checked: their files.
        duration_s: expected length; see `TOLERANCE_S`.
    """
    readable = [clip for clip in checked if clip.unreadable is None]
    wrong = [clip for clip in readable if _is_wrong(clip.video_s, duration_s) or _is_wrong(clip.audio_s, duration_s)]
    return {
        "path": str(listing.path),
        "kind": listing.kind,
        "entries": len(listing.names),
        "clips": len(listing.clips),
        "youtube_videos": listing.videos,
        "without_youtube_id": listing.other_names,
        "duplicates": listing.repeated,
        "files": len(checked),
        "left_out": dict(listing.left_out.reasons),
        "missing": listing.missing,
        "unreadable": {clip.name: clip.unreadable for clip in checked if clip.unreadable is not None},
        "without_sound": [clip.name for clip in readable if clip.audio_s is None],
        "wrong_duration": {clip.name: {"video_s": clip.video_s, "audio_s": clip.audio_s} for clip in wrong},
        "frames": _frames_report(readable) if listing.metadata is not None else None,
    }


def _is_wrong(end_s: float | None, duration_s: float) -> bool:
    return end_s is not None and abs(end_s - duration_s) >= TOLERANCE_S


def _frames_report(checked: Sequence[Checked]) -> dict[str, Any]:
    """Number of frames by offset, the base that follows, and the frames with another offset."""
    fits = {f"{clip.name}/{frame}": fit for clip in checked for frame, fit in clip.frames.items()}
    counts = Counter(fits.values())
    base = agreed_base(fits.values())
    expected = {
        "alike",
        "no_video",
        *(fit for fit, offset in OFFSETS.items() if base is not None and offset == -base),
    }
    return {
        "compared": sum(counts[fit] for fit in (*OFFSETS, "alike", "none")),
        "fits": {fit: counts[fit] for fit in get_args(Fit)},
        "frame_base": base,
        "against": {name: fit for name, fit in fits.items() if base is not None and fit not in expected},
    }
