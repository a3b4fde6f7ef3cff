"""The snippet of docs/annotate.md that opens a project in FiftyOne, and what FiftyOne's COCO reader needs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import mask_of
from tavlo_pl.annotate.project import Project
from tavlo_pl.data.annotations import RunLengths, rasterise
from tests.annotate.exchange.test_round_trip import tree
from tests.helpers.annotate import CLIPS, SIZE, make_project
from tests.helpers.cli import tavlo
from tests.helpers.extras import undeclared

PAGE = Path(__file__).parents[3] / "docs" / "annotate.md"


def snippet() -> str:
    """The Python code of the page, without the line that opens FiftyOne's own page."""
    (code,) = re.findall(r"```python\n(import fiftyone.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return "\n".join(line for line in code.splitlines() if "launch_app" not in line)


@pytest.fixture
def exported(tmp_path: Path) -> Project:
    """A project with every kind of geometry, and its COCO file beside it, as in the snippet."""
    project = make_project(tmp_path / "project", CLIPS[:2])
    for clip, frames in tree().items():
        for frame in frames:
            Decisions(project.folder).save(clip, frame, "ann")
            path = project.image(clip, frame.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIZE[1], SIZE[0])).save(path)
    outcome = tavlo("annotate", "export", project.folder, "--out", tmp_path / "annotations.json", "--format", "coco")
    assert outcome.code == 0, outcome.err
    return project


def test_coco_file_has_what_fiftyone_reads(exported: Project, tmp_path: Path) -> None:
    compile(snippet(), PAGE.name, "exec")
    content = json.loads((tmp_path / "annotations.json").read_text())
    images = {each["id"]: each for each in content["images"]}
    names = {each["id"]: each["name"] for each in content["categories"]}
    assert all((exported.folder / "frames" / each["file_name"]).is_file() for each in images.values())
    expected = {
        (clip, frame.number, each.id): mask_of(each.instance, frame)
        for clip, frames in tree().items()
        for frame in frames
        for each in frame.annotations
    }
    assert len(content["annotations"]) == 6
    for each in content["annotations"]:
        image, shape = images[each["image_id"]], each["segmentation"]
        clip, frame = image["file_name"].removesuffix(".jpg").split("/")
        mask = expected[clip, int(frame), each["attributes"]["instance_id"]]
        left, top, width, height = each["bbox"]
        assert names[each["category_id"]] and width > 0 and height > 0
        if isinstance(shape, dict):
            made = RunLengths(*shape["size"], tuple(shape["counts"])).raster(SIZE)
        elif shape:
            made = np.any([rasterise(np.reshape(polygon, (-1, 2)), SIZE) for polygon in shape], axis=0)
        else:
            continue
        assert (made == mask).all()
        rows, columns = np.nonzero(mask)
        assert left <= columns.min() + 1 and left + width >= columns.max() and top + height >= rows.max()


def test_snippet_opens_a_project(exported: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undeclared("fiftyone")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(snippet(), found)
    dataset: list[dict[str, dict[str, list[object]]]] = list(found["dataset"])  # type: ignore[call-overload]
    assert len(dataset) == 3 and sum(len(sample["segmentations"]["detections"]) for sample in dataset) == 6
