"""Projects of annotation with values that `propose` never writes, and clips that it does not expect."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tavlo_pl.annotate import propose
from tavlo_pl.annotate.project import LONGEST_CLIP_S, Project, parse_proposals
from tavlo_pl.data.clip import Clip
from tavlo_pl.engine.local import LocalEngine
from tests.helpers.clips import write_numbered
from tests.helpers.hostile import refusal

FRAME = {
    "number": 7, "region": 0, "sharpness": 3.5, "tags": [["Dog", 0.5]], "heatmap": [[0.1, 0.2]],
    "original_width": 96, "original_height": 64, "time_s": 0.7,
    "tavlo": {"format": 1, "status": "done", "instances": []},
}  # fmt: skip
GOOD = {"format": 1, "duration_s": 2.0, "label": None, "regions": [[0.5, 1.5]], "frames": [FRAME]}
ODD: dict[str, dict[str, Any]] = {
    "no format": {"format": None},
    "another format": {"format": 2},
    "length NaN": {"duration_s": math.nan},
    "length infinite": {"duration_s": math.inf},
    "length 1e18": {"duration_s": 1e18},
    "length 0": {"duration_s": 0},
    "length negative": {"duration_s": -1},
    "length of a day": {"duration_s": 86_400},
    "length text": {"duration_s": "2"},
    "label number": {"label": 3},
    "regions text": {"regions": "0 1"},
    "region reversed": {"regions": [[1.5, 0.5]]},
    "region NaN": {"regions": [[math.nan, 1]]},
    "frames map": {"frames": {}},
    "frames of numbers": {"frames": [3]},
    "frame twice": {"frames": [FRAME, FRAME]},
    "frame negative": {"frames": [FRAME | {"number": -1}]},
    "frame long": {"frames": [FRAME | {"number": 10**30}]},
    "region of none": {"frames": [FRAME | {"region": 3}]},
    "sharpness NaN": {"frames": [FRAME | {"sharpness": math.nan}]},
    "tags of texts": {"frames": [FRAME | {"tags": ["Dog"]}]},
    "tag infinite": {"frames": [FRAME | {"tags": [["Dog", math.inf]]}]},
    "heatmap uneven": {"frames": [FRAME | {"heatmap": [[1], [1, 2]]}]},
    "heatmap NaN": {"frames": [FRAME | {"heatmap": [[math.nan]]}]},
    "size 0": {"frames": [FRAME | {"original_width": 0}]},
    "status": {"frames": [FRAME | {"tavlo": {"format": 1, "status": "x", "instances": []}}]},
    "instances": {"frames": [FRAME | {"tavlo": {"format": 1, "status": "done", "instances": [None]}}]},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_proposals_with_odd_values_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert len(parse_proposals(GOOD, "v_1", "v_1.json").frames) == 1
    (tmp_path / "proposals").mkdir()
    (tmp_path / "proposals" / "v_1.json").write_text(json.dumps(GOOD | changes))
    assert "v_1.json" in refusal(lambda: Project(tmp_path).proposals("v_1"))


def test_clip_that_fails_in_an_unexpected_way_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip("v_000001", write_numbered(tmp_path / "v_000001.mp4", seconds=0.4, click_s=()).path)
    options, project = propose.ProposalOptions(), Project(tmp_path / "project")
    monkeypatch.setattr(propose, "load_proposers", lambda *_: propose.Proposers(*[None] * 4))
    monkeypatch.setattr(propose, "LONGEST_CLIP_S", 0.1)
    name, reason = propose.propose_clip(project, options, LocalEngine.task_device, clip)
    assert name == "v_000001" and "longer than 0 s; cut it" in reason
    monkeypatch.setattr(propose, "LONGEST_CLIP_S", LONGEST_CLIP_S)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(propose, "active_regions", broken)
    name, reason = propose.propose_clip(project, options, LocalEngine.task_device, clip)
    assert "ZeroDivisionError: nothing to divide by" in reason and not project.proposals_path(name).exists()
