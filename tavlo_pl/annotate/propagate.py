"""Proposes accepted masks in the other frames of their clip while their source sounds."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.flow import Mask, Tracker
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance, mask_of, with_mask
from tavlo_pl.annotate.locks import ClipLocks
from tavlo_pl.annotate.project import ClipProposals, Project
from tavlo_pl.data import media

LARGEST_WIDTH = 480
"""Wider frames are scaled down to this width for the tracker."""


def propagate_clip(project: Project, clip: str, every_s: float, tracker: Tracker) -> int:
    """Adds proposals of a tracker to the open frames of a clip; returns how many.

    A clip on which an annotator works is left out.

    Args:
        project: the project.
        clip: name of the clip.
        every_s: distance of the frames that get proposals, in seconds.
        tracker: carries the masks.

    Raises:
        MediaError: the video cannot be read.
        AnnotationError: a file of the project cannot be read.
    """
    decisions, locks, session = Decisions(project.folder), ClipLocks(project.folder / "locks"), secrets.token_hex(8)
    if not any(frame.annotations for frame in decisions.frames(clip)):
        return 0
    if locks.take(clip, session, tracker.name).session != session:
        return 0
    try:
        return _propagate(project, decisions, clip, every_s, tracker)
    finally:
        locks.release(clip, session)


def _propagate(project: Project, decisions: Decisions, clip: str, every_s: float, tracker: Tracker) -> int:
    path, proposals = project.video(clip), project.proposals(clip)
    times_s = media.frame_times(path)
    states = {frame.number: frame for frame in decisions.frames(clip)}
    states = {frame.record.number: frame.record for frame in proposals.frames} | states
    sources = [frame for frame in states.values() if frame.annotations]
    changed: dict[int, FrameRecord] = {}
    count = 0
    for source in sources:
        for each in source.annotations:
            if not mask_of(each.instance, source).any():
                continue
            for number, mask, confidence in _carry(path, times_s, source, each, proposals, every_s, tracker):
                record = states.get(number) or FrameRecord(number, float(times_s[number]), source.width, source.height)
                name = f"{tracker.name[0]}{source.number}.{each.id}"
                if record.status != "open" or any(other.id == name for other in record.instances):
                    continue
                instance = with_mask(replace(each.instance, polygons=(), bbox=None, rle=None), mask)
                provenance = Provenance(tracker.name, round(confidence, 4))
                added = FrameInstance(name, instance, "proposed", provenance, each.span_s)
                states[number] = changed[number] = replace(record, instances=(*record.instances, added))
                count += 1
    for _, record in sorted(changed.items()):
        decisions.save(clip, record, tracker.name)
    return count


def _carry(
    path: Path,
    times_s: NDArray[np.float64],
    source: FrameRecord,
    each: FrameInstance,
    proposals: ClipProposals,
    every_s: float,
    tracker: Tracker,
) -> Iterator[tuple[int, Mask, float]]:
    """Number, mask and confidence in the frames that get a proposal, forwards and backwards from the source."""
    time_s = float(times_s[min(source.number, len(times_s) - 1)])
    span = each.span_s or next((region for region in proposals.regions if region[0] <= time_s <= region[1]), None)
    if span is None:
        return
    inside = [n for n in range(len(times_s)) if span[0] <= times_s[n] <= span[1] or n == source.number]
    wanted = _wanted(inside, times_s, source.number, every_s, {frame.record.number for frame in proposals.frames})
    scale = min(1.0, LARGEST_WIDTH / source.width)
    size = (max(2, round(source.height * scale)), max(2, round(source.width * scale)))
    mask = _resized(mask_of(each.instance, source), size)
    if not mask.any():
        return
    for sequence in ([n for n in inside if n >= source.number], [n for n in reversed(inside) if n <= source.number]):
        numbers = _thinned(sequence, times_s, wanted, tracker.steps_per_s)
        if len(numbers) < 2:
            continue
        frames = media.read_clip(path, times_s[numbers], size, 0.0, 0.0).frames
        for carried in tracker.carry(frames, mask):
            if numbers[carried.position] in wanted:
                full = _resized(carried.mask, (source.height, source.width))
                if full.any():
                    yield numbers[carried.position], full, carried.confidence


def _wanted(
    inside: list[int], times_s: NDArray[np.float64], source: int, every_s: float, proposed: set[int]
) -> set[int]:
    """The proposed frames, and others at least `every_s` from each other and from the source."""
    wanted = {number for number in inside if number in proposed and number != source}
    taken_s = [float(times_s[number]) for number in (source, *wanted)]
    for number in inside:
        if all(abs(times_s[number] - other) >= every_s for other in taken_s):
            wanted.add(number)
            taken_s.append(float(times_s[number]))
    return wanted


def _thinned(sequence: list[int], times_s: NDArray[np.float64], wanted: set[int], steps_per_s: float) -> list[int]:
    """The frames of a sequence that the tracker gets: the first, the wanted, and others at `steps_per_s`."""
    kept = sequence[:1]
    for number in sequence[1:]:
        if number in wanted or abs(times_s[number] - times_s[kept[-1]]) >= 1 / steps_per_s - 1e-6:
            kept.append(number)
    return kept


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    if mask.shape == size:
        return mask
    image = Image.fromarray(mask.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image) >= 0.5
