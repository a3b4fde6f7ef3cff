"""``tavlo annotate agreement``: how well annotators agree, and how their work depends on the proposals."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tavlo_pl.errors import DatasetNotFoundError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.viz.table import NOTHING, Table

if TYPE_CHECKING:
    from tavlo_pl.annotate.agreement import FrameAgreement, ProposerBias, Recall

FILE = "agreement.json"
FRAMES_SHOWN = 20


def agreement(project: str) -> None:
    """Compares the second annotators of a project with the first; writes PROJECT/agreement.json.

    Second annotators work with tavlo annotate serve PROJECT --blind true, without proposals and first decisions.

    Args:
        project: folder of the project.

    Raises:
        DatasetNotFoundError: no such project, or no frame is finished.
        AnnotationError: an annotation cannot be read.
    """
    from tavlo_pl.annotate.agreement import ProposerBias, compare
    from tavlo_pl.annotate.decisions import Decisions
    from tavlo_pl.annotate.frames import PERSON
    from tavlo_pl.annotate.project import Project

    opened = Project.open(project)
    first = Decisions(opened.folder)
    blind = [Decisions(folder) for folder in sorted(opened.second.iterdir())] if opened.second.is_dir() else []
    bias = ProposerBias()
    compared: list[FrameAgreement] = []
    frames = 0
    for clip in opened.clips():
        proposals = {frame.record.number: frame.record for frame in opened.proposals(clip).frames}
        decided = {frame.number: frame for frame in first.frames(clip) if frame.status != "open"}
        frames += len(decided)
        for frame in decided.values():
            bias.count(frame)
        for second in blind:
            for frame in second.frames(clip):
                if frame.status == "open":
                    continue
                if frame.number in proposals:
                    drawn = [each for each in frame.annotations if each.provenance.by == PERSON]
                    bias.count_drawn(drawn, frame, proposals[frame.number])
                if frame.number in decided:
                    compared.append(compare(clip, decided[frame.number], frame))
    if not frames:
        raise DatasetNotFoundError(f"{project}: no frame is finished; finish some with tavlo annotate serve {project}")
    measured = _measure(compared)
    adjudicate = [each for each in compared if each.reasons]
    content = {
        "frames": frames,
        "compared": len(compared),
        **measured,
        "adjudicate": [{"clip": a.clip, "frame": a.frame, "reasons": list(a.reasons)} for a in adjudicate],
        "proposers": {name: asdict(counts) for name, counts in sorted(bias.proposers.items())},
        "recall_by_category": _shares(bias.by_category),
        "recall_by_size": _shares(bias.by_size),
    }
    path = opened.folder / FILE
    write_text_atomic(path, json.dumps(content, indent=1) + "\n")
    tables = [_agreement_table(measured, len(compared), frames), _proposers_table(bias)]
    tables += [_recall_table(bias)] if bias.by_size else []
    tables += [_adjudicate_table(adjudicate)] if adjudicate else []
    print("\n" + "\n\n".join(table.to_text() for table in tables) + f"\n\nagreement: {path}")


def _measure(compared: Sequence["FrameAgreement"]) -> dict[str, float | None]:
    from tavlo_pl.annotate.agreement import krippendorff_alpha, span_f1

    pairs = [pair for each in compared for pair in each.pairs]
    spans = [f1 for a, b in pairs if (f1 := span_f1(a.span_s, b.span_s)) is not None]
    return {
        "mask_iou": _mean([each.iou for each in compared]),
        "matched_share": _mean([_matched_share(each) for each in compared]),
        "scenario_alpha": krippendorff_alpha([(a.instance.scenario, b.instance.scenario) for a, b in pairs]),
        "category_alpha": krippendorff_alpha([(a.instance.category, b.instance.category) for a, b in pairs]),
        "span_f1": _mean(spans),
    }


def _matched_share(each: "FrameAgreement") -> float:
    matched = 2 * len(each.pairs)
    return matched / (matched + each.unmatched) if matched + each.unmatched else 1.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _shares(table: dict[str, "Recall"]) -> dict[str, Any]:
    return {name: asdict(recall) | {"recall": recall.share} for name, recall in sorted(table.items())}


def _text(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _agreement_table(measured: dict[str, float | None], compared: int, frames: int) -> Table:
    labels = {
        "mask_iou": "IoU of the sounding region",
        "matched_share": "instances with a counterpart",
        "scenario_alpha": "Krippendorff's alpha, scenario",
        "category_alpha": "Krippendorff's alpha, category",
        "span_f1": "F1 of spans",
    }
    rows = [[labels[name], _text(value)] for name, value in measured.items()]
    return Table(f"{compared:,} of {frames:,} finished frames were annotated twice", ["", "value"], rows)


def _proposers_table(bias: "ProposerBias") -> Table:
    rows = [
        [name, *(f"{n:,}" for n in (counts.accepted, counts.edited, counts.rejected))]
        for name, counts in sorted(bias.proposers.items())
    ]
    return Table("Instances of finished frames, by proposer", ["", "accepted", "of them edited", "rejected"], rows)


def _recall_table(bias: "ProposerBias") -> Table:
    rows = [
        [name, f"{recall.drawn:,}", _text(recall.share)]
        for table in (bias.by_size, bias.by_category)
        for name, recall in sorted(table.items())
    ]
    notes = ["The share of instances that were drawn without proposals and have one with an IoU of at least 0.5."]
    return Table("Recall of proposals, by size and category", ["", "drawn", "recall"], rows, notes)


def _adjudicate_table(adjudicate: Sequence["FrameAgreement"]) -> Table:
    rows = [[f"{each.clip}/{each.frame:05d}", "; ".join(each.reasons)] for each in adjudicate[:FRAMES_SHOWN]]
    more = len(adjudicate) - len(rows)
    notes = [f"{more:,} more are in {FILE}."] if more else []
    return Table(f"{len(adjudicate):,} frames to adjudicate", ["frame", "reasons"], rows, notes)
