"""Selects the videos of an index: the filter of the paper, labels, held-out clips, and a random selection.

The paper (arXiv 2507.04667, section 4) trains on 10,000 VGGSound clips of 10 s and 640 x 360 with 200 to 300 frames,
none of a video of AVATAR.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tavlo_pl.data.clip_ids import ClipKey, clip_key, is_listed
from tavlo_pl.data.index.probe import Probed
from tavlo_pl.data.index.table import Row
from tavlo_pl.data.leakage import video_of
from tavlo_pl.data.segments import TOLERANCE_S
from tavlo_pl.io.remote import as_file


@dataclass(frozen=True)
class Filter:
    """Conditions for a clip.

    Attributes:
        min_frames: minimum number of frames.
        max_frames: maximum number of frames.
        duration_s: length of video and audio in seconds, within half a second.
        width: of the frames in pixels; None takes any.
        height: of the frames in pixels; None takes any.
    """

    min_frames: int
    max_frames: int
    duration_s: float
    width: int | None
    height: int | None

    def reason(self, video: Probed) -> str:
        """Why a video does not meet the conditions, ``kind: sentence``; empty if it does."""
        if video.fault:
            return video.fault
        assert video.video_s is not None and video.frame_count is not None, "a video without fault was probed"
        if video.width != (self.width or video.width) or video.height != (self.height or video.height):
            return f"size: {video.width}×{video.height}, not {self.width or 'any'}×{self.height or 'any'}"
        if abs(video.video_s - self.duration_s) >= TOLERANCE_S:
            return f"duration: the video stream has {video.video_s:.2f} s, not {self.duration_s:g} s"
        if video.audio_s is not None and video.audio_s <= self.duration_s - TOLERANCE_S:
            return f"sound ends early: at {video.audio_s:.2f} s of {self.duration_s:g} s"
        if not self.min_frames <= video.frame_count <= self.max_frames:
            return f"frames: {video.frame_count}, not {self.min_frames} to {self.max_frames}"
        return ""


def make_rows(
    videos: Iterable[Probed],
    accept: Filter,
    labels: Mapping[ClipKey, tuple[str, str]] | None,
    held_out: Mapping[str, Collection[ClipKey]],
    ids: Collection[ClipKey] | None,
    draw: int | None,
    seed: int,
) -> list[Row]:
    """Returns the rows of an index, with the reason for each that is left out.

    Args:
        videos: probed videos, sorted by path.
        accept: the filter.
        labels: (category, split) of each clip; None without a table.
        held_out: test clips, by the name of their list; clips of the same YouTube videos are left out.
        ids: the clips to take; None for all.
        draw: number of training clips to draw from the remaining ones; None for all.
        seed: seed of the draw.
    """
    rows = [_labelled(video, labels) for video in videos]
    rows = _left_out(rows, lambda row: accept.reason(row.probed))
    if labels is not None:
        rows = _left_out(rows, lambda row: "" if row.split is not None else "unlisted: not in the table of labels")
    tested = {video_of(key): name for name, keys in held_out.items() for key in keys}
    rows = _left_out(rows, lambda row: _held_out(row, tested))
    if ids is not None:
        rows = _left_out(
            rows, lambda row: "" if is_listed(clip_key(row.sample_id), ids) else "not selected: not in the list of ids"
        )
    rows = _without_repeats(rows)
    return rows if draw is None else _drawn(rows, draw, seed)


def _labelled(video: Probed, labels: Mapping[ClipKey, tuple[str, str]] | None) -> Row:
    sample_id = as_file(video.file.path).stem if video.member is None else PurePosixPath(video.member).stem
    label, split = (labels or {}).get(clip_key(sample_id), (None, None))
    return Row(sample_id, video, label, split)


def _left_out(rows: Iterable[Row], reason: Callable[[Row], str]) -> list[Row]:
    """The rows, with a reason for those without one."""
    return [row if row.reason else replace(row, reason=reason(row)) for row in rows]


def _held_out(row: Row, tested: Mapping[str, str]) -> str:
    name = tested.get(video_of(clip_key(row.sample_id)))
    return "" if name is None else f"held out: a clip of {name} is cut from the same video"


def _without_repeats(rows: Iterable[Row]) -> list[Row]:
    """Of duplicate clips, keeps the first good one by path."""
    first: dict[ClipKey, str] = {}

    def reason(row: Row) -> str:
        where = first.setdefault(clip_key(row.sample_id), row.probed.where)
        return "" if where == row.probed.where else f"repeated: the clip is at {where} too"

    return _left_out(rows, reason)


def _drawn(rows: list[Row], count: int, seed: int) -> list[Row]:
    """Selects the clips whose name and seed have the lowest hash, so that adding a clip changes at most one other."""

    def rank(row: Row) -> bytes:
        return hashlib.sha256(f"{seed} {clip_key(row.sample_id)}".encode(errors="backslashreplace")).digest()

    candidates = [row for row in rows if not row.reason and row.split != "test"]
    taken = {row.sample_id for row in sorted(candidates, key=rank)[:count]}
    return [
        replace(row, reason=f"not selected: not among the {count} that were drawn")
        if not row.reason and row.split != "test" and row.sample_id not in taken
        else row
        for row in rows
    ]
