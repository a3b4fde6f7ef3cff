import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.types import Scenario
from tests.helpers.clips import write_numbered
from tests.helpers.shared import shared_file
from tests.helpers.trees import sample_of
from tests.metrics import vggss

SINGLE = Scenario.SINGLE_SOUND


def write(folder: Path, entries: Any) -> str:
    path = folder / "vggss.json"
    path.write_text(json.dumps(entries))
    return str(path)


def entry(file: str = "l_7B1wnTNtA_000020", **fields: Any) -> dict[str, Any]:
    return {"file": file, "class": "dog barking", "bbox": [[0.25, 0.5, 0.5, 1.0]], **fields}


def drawn(clips: list[Clip], boxes: dict[str, vggss.Boxes]) -> bool:
    """Whether the masks of the files in ``boxes`` are those that the peers' evaluators draw."""
    by_name = {clip.sample_id: clip.annotations[0] for clip in clips}
    found = np.stack([sample_of(by_name[file], SINGLE).mask((224, 224)) for file in boxes])
    return bool((found == vggss.masks(boxes.values()).numpy()).all())


def test_masks_equal_those_of_the_peers() -> None:
    clips = VGGSS(str(vggss.GOLDEN / "boxes.json")).clips()
    assert len(clips) == 200
    assert drawn(clips, vggss.golden_boxes())


def test_full_list_has_the_known_masks_and_counts() -> None:
    clips = VGGSS(str(shared_file("data", "vggss.json"))).clips()
    assert len(clips) == 5158
    assert drawn(clips, dict(islice(vggss.all_boxes().items(), 300)))  # one of them has an edge far outside
    sources = [len(sample_of(clip.annotations[0], SINGLE).instances) for clip in clips]
    assert [sources.count(number) for number in (0, 1, 2, 3)] == [0, 4619, 385, 94]


def test_edges_are_clipped_to_the_image(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(bbox=[[-0.5, 0.5, 0.25, 1.5], [0.9, 0.9, 0.95, -3e16]])])
    mask = sample_of(VGGSS(path).clips()[0].annotations[0], SINGLE).mask((8, 8))
    expected = np.zeros((8, 8), bool)
    expected[4:, :2] = True
    assert (mask == expected).all()


def test_no_box_is_no_visible_source(tmp_path: Path) -> None:
    frame = VGGSS(write(tmp_path, [entry(bbox=[])])).clips()[0].annotations[0]
    assert frame.scenarios == (Scenario.OFF_SCREEN,)
    assert not sample_of(frame, Scenario.OFF_SCREEN).mask((8, 8)).any()


def test_with_videos_the_middle_frame_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "part").mkdir()
    write_numbered(tmp_path / "part" / "l_7B1wnTNtA_20.mp4", seconds=2.0)
    path = write(tmp_path, [entry(), entry("aaaaaaaaaaa_000001")])
    (clip,) = VGGSS(path, str(tmp_path)).clips()
    assert clip.sample_id == "l_7B1wnTNtA_000020"
    assert "1 of 2 clips have no video (aaaaaaaaaaa_000001" in caplog.text
    item = ClipDataset([clip], "test", ClipSpec(segments=4, duration_s=2.0, image_size=32))[0]
    assert item.targets is not None
    assert item.targets.time_s.item() == pytest.approx(1.0, abs=0.05)
    assert item.frame_time[item.targets.segment].item() == item.targets.time_s.item()
    with pytest.raises(DatasetNotFoundError, match="none of the clips"):
        VGGSS(write(tmp_path, [entry("aaaaaaaaaaa_000001")]), str(tmp_path)).clips()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"file": "x"}, "must be a list of entries"),
        ([entry(), 3], "must be a list of entries"),
        (
            [entry(), entry("x") | {"file": 3}],
            r"entry 1\.file must be a name, found 3; known fields: file, class, bbox",
        ),
        ([{"file": "x", "bbox": []}], r"entry 0\.class must be a name"),
        ([entry(bbox=None)], r"bbox must be a list of boxes"),
        ([entry(bbox=[[0, 0, 1, 1], [0, 0, 1]])], r"bbox\[1\] must be a box \[x0, y0, x1, y1\]"),
        ([entry(bbox=[[0, 0, float("nan"), 1]])], r"bbox\[0\] must be a box"),
        ([entry(), entry()], "two entries"),
    ],
)
def test_what_cannot_be_read_names_file_and_field(tmp_path: Path, entries: Any, words: str) -> None:
    path = write(tmp_path, entries)
    with pytest.raises(AnnotationError, match=words) as caught:
        VGGSS(path).clips()
    assert str(caught.value).startswith(path)


def test_a_missing_or_empty_list_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetNotFoundError, match=r"no such file; expected a JSON list of entries \{file, class, bbox\}"
    ):
        VGGSS(str(tmp_path / "none.json")).clips()
    with pytest.raises(DatasetNotFoundError, match="the list is empty"):
        VGGSS(write(tmp_path, [])).clips()
    (tmp_path / "vggss.json").write_text("{")
    with pytest.raises(AnnotationError, match="no JSON file"):
        VGGSS(str(tmp_path / "vggss.json")).clips()
