"""Agreement of annotators."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.annotate.agreement import compare, krippendorff_alpha, span_f1
from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, FrameStatus, Provenance, with_mask
from tavlo_pl.annotate.project import ClipProposals, ProposedFrame
from tavlo_pl.data.annotations import Instance
from tavlo_pl.types import Scenario
from tests.helpers.annotate import CLIPS, make_project, write_proposals
from tests.helpers.cli import tavlo

SINGLE, MIXED, OFF = Scenario.SINGLE_SOUND, Scenario.MIXED_SOUND, Scenario.OFF_SCREEN


def source(
    name: str,
    columns: tuple[int, int] | None,
    category: str = "dog",
    scenario: Scenario = SINGLE,
    by: str = "person",
    span: tuple[float, float] | None = None,
) -> FrameInstance:
    """An accepted instance on rows 10 to 50 of some columns; without columns, one without geometry."""
    instance = Instance(category, scenario)
    if columns is not None:
        mask = np.zeros((64, 96), bool)
        mask[10:50, columns[0] : columns[1]] = True
        instance = with_mask(instance, mask)
    return FrameInstance(name, instance, "accepted", Provenance(by), span)


def frame(*instances: FrameInstance, number: int = 7, status: FrameStatus = "done") -> FrameRecord:
    return FrameRecord(number, number / 10, 96, 64, status, instances)


def test_alpha_equals_published_values() -> None:
    # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", example C: four observers, nominal, 0.743
    columns = [
        "1 1 . 1", "2 2 3 2", "3 3 3 3", "3 3 3 3", "2 2 2 2", "1 2 3 4", "4 4 4 4", "1 1 2 1", "2 2 2 2", ". 5 5 5",
        ". . 1 1", ". . 3 .",
    ]  # fmt: skip
    units = [[None if value == "." else value for value in column.split()] for column in columns]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    # section B, two observers, nominal: 0.692
    assert krippendorff_alpha(zip("aabbdcccedda", "babbbccceddd", strict=True)) == pytest.approx(0.692, abs=5e-4)


def test_alpha_without_variation_or_values() -> None:
    assert krippendorff_alpha([("a", "a"), ("a", "a")]) == 1.0
    assert krippendorff_alpha([("a", None)]) is None
    assert krippendorff_alpha([("a", "b"), ("b", "a")]) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [((0, 2), (1, 3), 0.5), ((0, 2), (0, 2), 1), ((0, 1), (2, 3), 0), ((0, 1), None, 0), (None, None, None)],
)
def test_span_f1(one: object, other: object, expected: float | None) -> None:
    assert span_f1(one, other) == expected  # type: ignore[arg-type]


def test_instances_are_matched_by_iou() -> None:
    first = frame(source("a", (0, 20)), source("b", (40, 60), "cat", MIXED), source("o", None, "bird", OFF))
    second = frame(source("x", (45, 65), "cat"), source("y", (0, 10)), source("o", None, "bird", OFF))
    found = compare("clip", first, second)
    assert [(a.id, b.id) for a, b in found.pairs] == [("a", "y"), ("b", "x"), ("o", "o")]
    assert found.iou == pytest.approx(25 / 45) and found.unmatched == 0
    assert found.reasons == ("1 with another scenario",)
    apart = compare("clip", frame(source("a", (0, 10))), frame(source("a", (50, 60)), status="done"))
    assert apart.reasons == ("masks with an IoU of 0.00", "2 without counterpart")
    assert compare("clip", frame(), frame(status="cannot_tell")).reasons == ("done or cannot_tell",)
    assert compare("clip", frame(), frame()).iou == 1


def test_command_reports_agreement_and_recall(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    assert "no frame is finished" in tavlo("annotate", "agreement", project.folder).err
    detected = replace(source("d0", (0, 20), by="maskrcnn"), status="proposed")
    other = replace(source("d1", (70, 90), by="maskrcnn"), status="proposed")
    proposed = tuple(ProposedFrame(replace(frame(detected, other, number=n), status="open"), 0, 1.0) for n in (7, 12))
    write_proposals(project, ClipProposals(CLIPS[0], 2.0, None, ((0.5, 1.5),), proposed))
    first, second = Decisions(project.folder), Decisions(project.second / "bob")
    accepted = replace(detected, status="accepted", provenance=Provenance("maskrcnn", edited=True), span_s=(0.5, 1.5))
    first.save(CLIPS[0], frame(accepted, replace(other, status="rejected")), "ann")
    first.save(CLIPS[0], frame(source("p0", (40, 60)), other, number=12), "ann")
    second.save(CLIPS[0], frame(source("p0", (0, 20), span=(0.5, 1.0))), "bob")
    second.save(CLIPS[0], frame(source("p0", (40, 60), "cat"), number=12), "bob")
    outcome = tavlo("annotate", "agreement", project.folder)
    assert outcome.code == 0, outcome.err
    found = json.loads((project.folder / "agreement.json").read_text())
    assert (found["frames"], found["compared"], found["mask_iou"], found["matched_share"]) == (2, 2, 1.0, 1.0)
    assert found["span_f1"] == pytest.approx(2 / 3) and found["scenario_alpha"] == 1.0
    assert found["category_alpha"] == pytest.approx(0.0)
    assert found["adjudicate"] == [{"clip": CLIPS[0], "frame": 12, "reasons": ["1 with another category"]}]
    assert found["proposers"]["maskrcnn"] == {"accepted": 1, "edited": 1, "rejected": 2}
    assert found["recall_by_category"]["dog"]["recall"] == 1.0 and found["recall_by_category"]["cat"]["recall"] == 0.0
    assert found["recall_by_size"] == {"small": {"found": 1, "drawn": 2, "recall": 0.5}}
    assert "1 frames to adjudicate" in outcome.out
