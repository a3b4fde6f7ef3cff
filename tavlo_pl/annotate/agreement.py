"""Agreement of annotators: masks, labels and spans of frames that two of them decided independently."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.annotate.activity import Span
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, mask_of

LEAST_IOU = 0.1
"""Instances with a smaller IoU are never matched."""

ADJUDICATED_IOU = 0.5
"""Frames whose sounding regions have a smaller IoU are listed for adjudication."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FrameAgreement:
    """Two annotations of one frame.

    Attributes:
        clip: its clip.
        frame: its number.
        iou: of the unions of the visible instances; 1 where both are empty.
        pairs: matched instances, of the first and of the second annotator.
        unmatched: number of the other instances of both.
        reasons: why the frame should be adjudicated; empty if it need not be.
    """

    clip: str
    frame: int
    iou: float
    pairs: tuple[tuple[FrameInstance, FrameInstance], ...]
    unmatched: int
    reasons: tuple[str, ...]


def compare(clip: str, first: FrameRecord, second: FrameRecord) -> FrameAgreement:
    """Compares two annotations of a frame that both annotators have finished."""
    ones, others = first.annotations, second.annotations
    masks = [[mask_of(each.instance, frame) for each in frame.annotations] for frame in (first, second)]
    found = _match(ones, others, masks[0], masks[1])
    pairs = tuple((ones[a], others[b]) for a, b in found)
    unmatched = len(ones) + len(others) - 2 * len(pairs)
    empty = np.zeros((first.height, first.width), bool)
    union = iou(np.any([empty, *masks[0]], axis=0), np.any([empty, *masks[1]], axis=0))
    reasons = []
    if first.status != second.status:
        reasons.append(f"{first.status} or {second.status}")
    if union < ADJUDICATED_IOU:
        reasons.append(f"masks with an IoU of {union:.2f}")
    if unmatched:
        reasons.append(f"{unmatched} without counterpart")
    for name in ("scenario", "category"):
        differ = sum(getattr(a.instance, name) != getattr(b.instance, name) for a, b in pairs)
        if differ:
            reasons.append(f"{differ} with another {name}")
    return FrameAgreement(clip, first.number, union, pairs, unmatched, tuple(reasons))


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 1.0


def span_f1(one: Span | None, other: Span | None) -> float | None:
    """F1 of the common length of two spans; 0 where one is missing, None where both are."""
    if one is None and other is None:
        return None
    if one is None or other is None:
        return 0.0
    common = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return 2 * common / (one[1] - one[0] + other[1] - other[0])


def krippendorff_alpha(units: Iterable[Sequence[str | None]]) -> float | None:
    """Krippendorff's alpha for nominal values (Krippendorff, Content Analysis, 2004, section 11.3).

    Args:
        units: the values of all annotators for each unit; None where an annotator has none.

    Returns:
        1 for perfect agreement, 0 for that of chance; None with fewer than two comparable values, and 1 where all
        values are equal.
    """
    totals: Counter[str] = Counter()
    agreeing = comparable = 0.0
    for unit in units:
        values = Counter(value for value in unit if value is not None)
        count = values.total()
        if count < 2:
            continue
        totals += values
        comparable += count
        agreeing += sum(n * (n - 1) for n in values.values()) / (count - 1)
    if not comparable:
        return None
    expected = sum(n * (n - 1) for n in totals.values()) / (comparable - 1)
    return 1.0 if expected == comparable else (agreeing - expected) / (comparable - expected)


def _match(
    ones: Sequence[FrameInstance], others: Sequence[FrameInstance], masks: list[Mask], other_masks: list[Mask]
) -> list[tuple[int, int]]:
    """Pairs of instances, the highest IoU first; those without a mask are matched by category, then by order."""
    scored = []
    for a, one in enumerate(ones):
        for b, other in enumerate(others):
            if masks[a].any() and other_masks[b].any():
                scored.append((iou(masks[a], other_masks[b]), -a, -b))
            elif not masks[a].any() and not other_masks[b].any():
                scored.append((1.0 if one.instance.category == other.instance.category else LEAST_IOU, -a, -b))
    pairs: list[tuple[int, int]] = []
    for score, a, b in sorted(scored, reverse=True):
        if score >= LEAST_IOU and all(-a != one and -b != other for one, other in pairs):
            pairs.append((-a, -b))
    return sorted(pairs)


@dataclass
class ProposerCounts:
    """What became of the proposals of one proposer in finished frames.

    Attributes:
        accepted: accepted instances.
        edited: those of them whose geometry a person changed.
        rejected: rejected instances, and those that were left undecided.
    """

    accepted: int = 0
    edited: int = 0
    rejected: int = 0


@dataclass
class Recall:
    """How many instances that a person drew from scratch have a proposal with an IoU of at least 0.5."""

    found: int = 0
    drawn: int = 0

    @property
    def share(self) -> float | None:
        """In [0, 1]; None without instances."""
        return self.found / self.drawn if self.drawn else None


RECALL_IOU = 0.5
SIZES = ((32**2, "small"), (96**2, "medium"))
"""Areas in pixels below which an instance has a size, as in COCO; larger ones are large."""


@dataclass
class ProposerBias:
    """Acceptance by proposer, and recall of instances that people drew from scratch.

    Attributes:
        proposers: counts by proposer.
        by_category: recall by category.
        by_size: recall by size.
    """

    proposers: dict[str, ProposerCounts] = field(default_factory=dict)
    by_category: dict[str, Recall] = field(default_factory=dict)
    by_size: dict[str, Recall] = field(default_factory=dict)

    def count(self, frame: FrameRecord) -> None:
        """Counts the decided proposals of a frame of the first pass."""
        for each in frame.instances if frame.status == "done" else ():
            counts = self.proposers.setdefault(each.provenance.by, ProposerCounts())
            counts.accepted += each.status == "accepted"
            counts.edited += each.status == "accepted" and each.provenance.edited
            counts.rejected += each.status != "accepted"

    def count_drawn(self, drawn: Iterable[FrameInstance], frame: FrameRecord, proposed: FrameRecord) -> None:
        """Counts which drawn instances of a frame have a proposal.

        Args:
            drawn: instances that a person drew from scratch.
            frame: whose instances they are.
            proposed: the proposals of the frame.
        """
        masks = [mask_of(each.instance, proposed) for each in proposed.instances]
        for each in drawn:
            mask = mask_of(each.instance, frame)
            if not mask.any():
                continue
            is_found = any(iou(mask, other) >= RECALL_IOU for other in masks)
            for table, name in ((self.by_category, each.instance.category), (self.by_size, size_of(mask))):
                recall = table.setdefault(name, Recall())
                recall.drawn += 1
                recall.found += is_found


def size_of(mask: Mask) -> str:
    """``small``, ``medium`` or ``large``, by the area of a mask."""
    return next((name for area, name in SIZES if mask.sum() < area), "large")
