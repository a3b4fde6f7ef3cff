"""Round trips through the formats of other tools."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.exchange.coco import read_coco, to_coco
from tavlo_pl.annotate.exchange.cvat import read_cvat, to_cvat
from tavlo_pl.annotate.exchange.label_studio import to_config, to_label_studio
from tavlo_pl.annotate.exchange.tree import Tree, annotated, read_tree, write_tree
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance, mask_of, with_mask
from tavlo_pl.annotate.locks import ClipLocks
from tavlo_pl.annotate.project import Project
from tavlo_pl.data.annotations import Instance, rasterise
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.errors import AnnotationError, TavloError
from tavlo_pl.types import Cue, Scenario
from tests.annotate.test_frames import MASK
from tests.helpers.annotate import CLIPS, make_project
from tests.helpers.cli import tavlo

SPAN = (0.25, 1.5)


def tree() -> Tree:
    """Two clips with every kind of geometry and scenario."""
    rng = np.random.default_rng(0)
    noise = rng.random((64, 96)) < 0.3
    noise[-1, -1] = noise[0, 0] = True
    instances = [
        with_mask(Instance("dog", Scenario.SINGLE_SOUND, cue=Cue.SYNCHRONY), MASK),
        with_mask(Instance("cat", Scenario.MIXED_SOUND), noise),
        Instance("dog, brown", Scenario.MULTI_ENTITY, ((3.123, 2.0, 60.5, 7.25, 40.0, 55.111),)),
        Instance("a & <b>", Scenario.MIXED_SOUND, ((2.0, 2, 20, 2, 20, 20), (50.0, 30, 90, 30, 70, 60))),
        Instance("box", Scenario.SINGLE_SOUND, bbox=(10.5, 20.0, 30.0, 12.25)),
        Instance("bird", Scenario.OFF_SCREEN),
    ]
    made = [
        FrameInstance(f"i{n}", each, "accepted", Provenance("person", None, False, "ann", "t"), SPAN if n % 2 else None)
        for n, each in enumerate(instances)
    ]
    rejected = replace(made[0], id="r", status="rejected")
    one = FrameRecord(3, 0.3, 96, 64, "done", (*made[:3], rejected))
    two, three = (FrameRecord(n, n / 10, 96, 64, "done", tuple(made[a:b])) for n, a, b in ((12, 3, 6), (0, 0, 1)))
    return {CLIPS[0]: [one, two], CLIPS[1]: [three]}


def iou(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def assert_same(found: Tree, expected: Tree, without: tuple[Scenario, ...] = ()) -> None:
    """Asserts equal clips, frames, categories, scenarios, spans and ids, and masks to an IoU of 0.99."""
    one, other = (_sorted(side, without) for side in (found, expected))
    assert [(clip, f.number, f.width, f.height, i.id) for clip, f, i in one] == [
        (clip, f.number, f.width, f.height, i.id) for clip, f, i in other
    ]
    for (_, frame, a), (_, _, b) in zip(one, other, strict=True):
        assert (a.instance.category, a.instance.scenario, a.instance.cue) == (
            b.instance.category,
            b.instance.scenario,
            b.instance.cue,
        )
        assert a.span_s == b.span_s
        assert iou(mask_of(a.instance, frame), mask_of(b.instance, frame)) >= 0.99


def _sorted(tree: Tree, without: tuple[Scenario, ...] = ()) -> list[tuple[str, FrameRecord, FrameInstance]]:
    """All annotations by clip, frame and id."""
    kept = [each for each in annotated(tree) if each[2].instance.scenario not in without]
    return sorted(kept, key=lambda each: (each[0], each[1].number, each[2].id))


def test_avatar_tree_is_read_back(tmp_path: Path) -> None:
    write_tree(tree(), tmp_path, tmp_path / "out")
    assert_same(read_tree(tmp_path / "out"), tree())
    clips = AVATAR(str(tmp_path / "out"), videos=False).clips()
    assert [len(frame.instances) for clip in clips for frame in clip.annotations] == [3, 3, 1]
    with pytest.raises(TavloError, match="is not empty"):
        write_tree(tree(), tmp_path, tmp_path / "out")


def test_coco_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(to_coco(tree())))
    found = read_coco(path)
    assert_same(found, tree())
    assert [each.provenance for _, _, each in _sorted(found)] == [each.provenance for _, _, each in _sorted(tree())]
    content = to_coco(tree())
    assert [video["name"] for video in content["videos"]] == list(CLIPS[:2])
    assert content["annotations"][0]["area"] == MASK.sum() and content["annotations"][0]["bbox"] == [30, 10, 20, 10]


def test_coco_of_other_tools_is_read_by_file_names(tmp_path: Path) -> None:
    image = {"id": 5, "file_name": "images/clip_1/000017.jpg", "width": 96, "height": 64}
    shape = {"id": 1, "image_id": 5, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0}
    content = {"images": [image], "annotations": [shape], "categories": [{"id": 2, "name": "dog"}]}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    ((clip, frame, each),) = annotated(read_coco(path))
    assert (clip, frame.number, each.instance.category, each.id) == ("clip_1", 17, "dog", "c0")
    assert each.instance.scenario is Scenario.SINGLE_SOUND and each.provenance.by == "coco"


def test_cvat_keeps_visible_sources(tmp_path: Path) -> None:
    for clip, frames in tree().items():
        (tmp_path / f"{clip}.xml").write_text(to_cvat(clip, frames))
    assert_same(read_cvat(tmp_path), tree(), without=(Scenario.OFF_SCREEN,))
    assert list(read_cvat(tmp_path / f"{CLIPS[1]}.xml")) == [CLIPS[1]]


def test_label_studio_polygons_rasterise_to_the_mask() -> None:
    tasks = to_label_studio(tree())
    assert [task["data"]["image"] for task in tasks] == [
        f"{CLIPS[0]}/00003.jpg",
        f"{CLIPS[0]}/00012.jpg",
        f"{CLIPS[1]}/00000.jpg",
    ]
    (result,) = tasks[2]["annotations"][0]["result"][:1]
    filled = MASK | (np.pad(np.ones((10, 20), bool), ((10, 44), (30, 46))))
    points = np.array(result["value"]["points"]) * [0.96, 0.64]
    assert (rasterise(points, (64, 96)) == filled).all()
    kinds = [part["type"] for part in tasks[1]["annotations"][0]["result"]]
    assert kinds == [*["polygonlabels"] * 2, *["choices", "textarea"] * 2, "rectanglelabels", "choices", "choices"]


def test_label_studio_config_declares_every_label_and_choice() -> None:
    controls = {each.get("name"): each for each in ElementTree.fromstring(to_config(tree()))}
    kinds = {"polygonlabels": "PolygonLabels", "rectanglelabels": "RectangleLabels", "choices": "Choices"}
    regions: set[tuple[str, str]] = set()
    for task in to_label_studio(tree()):
        for part in task["annotations"][0]["result"]:
            control = controls[part["from_name"]]
            assert control.tag == kinds.get(part["type"], "TextArea") and control.get("toName") == part["to_name"]
            assert part["to_name"] in controls and (part["original_width"], part["original_height"]) == (96, 64)
            declared = {each.get("value") for each in control}
            assert {*part["value"].get(part["type"], [])} <= declared or part["type"] == "textarea"
            at = (task["data"]["image"], part["id"])
            if part["type"].endswith("labels"):
                regions.add(at)
            else:  # of a region, by its id, or of the whole frame
                assert (at in regions) == (control.get("perRegion") == "true")
    assert len(regions) > 7  # the noise has an outline for each of its parts
    with_image = controls["image"]
    assert with_image.tag == "Image" and with_image.get("value") == "$image"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.json", "[]", "must be an object"),
        ("x.json", '{"categories": [], "annotations": []}', "images must be a list"),
        ("x.json", '{"categories": [], "annotations": [], "images": []}', "no annotated frame"),
        ("x.json", '{"categories": [], "annotations": [{"image_id": 1}], "images": []}', "not in images"),
        ("x.json", '{"categories": [], "annotations": [], "images": [{"id": 1, "file_name": "x"}]}', "<clip>/<frame>"),
        ("x.xml", "<a>", "no XML file"),
        ("x.xml", "<a/>", "no original_size"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(AnnotationError, match=words):
        read_coco(path) if name.endswith("json") else read_cvat(path)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<points frame="1" points="1,2"/>', "a points is no polygon"),
        ('<polygon frame="-1" points="1,2;3,4;5,6"/>', "frame must be a whole number"),
        ('<polygon frame="1" points="1,2;x,4;5,6"/>', "expected finite numbers"),
        ('<polygon frame="1" points="1,2;3,4"/>', "a polygon is three or more"),
        ('<mask frame="1" rle="0,4" left="95" top="0" width="2" height="2"/>', "does not fit"),
        ('<mask frame="1" rle="0,3" left="0" top="0" width="2" height="2"/>', "does not fit"),
    ],
)
def test_bad_cvat_shapes_are_refused(tmp_path: Path, shape: str, words: str) -> None:
    size = "<original_size><width>96</width><height>64</height></original_size>"
    path = tmp_path / "clip.xml"
    path.write_text(f'<annotations><meta><task>{size}</task></meta><track label="dog">{shape}</track></annotations>')
    with pytest.raises(AnnotationError, match=words):
        read_cvat(path)


def test_commands_export_and_import_into_a_project(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    assert (
        "no frame there has annotations"
        in tavlo("annotate", "export", project.folder, "--out", "x", "--format", "coco").err
    )
    write_tree(tree(), tmp_path, tmp_path / "tree")
    coco, cvat = tmp_path / "coco.json", tmp_path / "cvat"
    for form, out in (("coco", coco), ("cvat", cvat), ("label_studio", tmp_path / "ls.json")):
        outcome = tavlo("annotate", "export", tmp_path / "tree", "--out", out, "--format", form)
        assert outcome.code == 0, outcome.err
        assert "7 instances in 3 frames of 2 clips" in outcome.out
        assert ("does not hold" in outcome.out) == (form != "coco")
    read = ("annotate", "import", "--format", "coco", "--file", coco, "--out", project.folder)
    assert "3 frames saved, 0 kept" in tavlo(*read).out
    assert "0 frames saved, 3 kept" in tavlo(*read).out
    assert "3 frames saved, 0 kept" in tavlo(*read, "--overwrite", "true").out
    assert_same(read_tree(project.folder), tree())
    assert len(Decisions(project.folder).history(CLIPS[0], 3)) == 2
    outcome = tavlo("annotate", "export", project.folder, "--out", tmp_path / "out", "--format", "avatar")
    assert outcome.code == 0 and len(AVATAR(str(tmp_path / "out")).clips()) == 2
    images = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg")]
    assert images == [f"metadata/{CLIPS[0]}/00012.jpg"]  # the project has no image of the imported frames 0 and 3
    (tmp_path / "train.txt").write_text(f"{CLIPS[0]}\nddddddddddd_00001\n")
    audit = tavlo(
        "data",
        "audit",
        "--train",
        tmp_path / "train.txt",
        "--test",
        tmp_path / "out",
        "--out",
        tmp_path,
        "--duration_s",
        2,
    )
    assert audit.code == 0, audit.err
    assert json.loads((tmp_path / "audit.json").read_text())["overlap"]["exact"] == [CLIPS[0]]
    ClipLocks(project.folder / "locks").take(CLIPS[0], "s", "bob")
    assert "bob works on clip" in tavlo(*read, "--overwrite", "true").err
    project.proposals_path(CLIPS[0]).unlink()
    assert f"has no clip {CLIPS[0]}" in tavlo(*read).err
    fresh = tavlo("annotate", "import", "--format", "cvat", "--file", cvat, "--out", tmp_path / "new")
    assert fresh.code == 0 and "3 frames of 2 clips" in fresh.out
    assert tavlo("annotate", "import", "--format", "cvat", "--file", "none", "--out", "x").code == 2
    assert Project.open(project.folder).folder == project.folder
