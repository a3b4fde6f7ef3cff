import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.data.datasets.is3 import IS3
from tavlo_pl.errors import AnnotationError
from tavlo_pl.types import Scenario
from tests.helpers.trees import sample_of

SINGLE = Scenario.SINGLE_SOUND


def entry(name: str, **truth: Any) -> dict[str, Any]:
    return {"image": f"/elsewhere/images/{name}.jpg", "audio": f"/elsewhere/audio_wav/{name}.wav", **truth}


def read(folder: Path, *entries: dict[str, Any]) -> list[Any]:
    path = folder / "IS3_annotation.json"
    path.write_text(json.dumps(entries))
    return IS3(str(path)).clips()


def test_the_sources_of_a_image_are_its_frames(tmp_path: Path) -> None:
    box, other = [47.0, 99.0, 154.0, 185.0], [0.0, 0.0, 10.0, 10.0]
    clips = read(
        tmp_path,
        entry("cat_dog_12_dog", gt_box=box),
        entry("accordion_baby_10467_baby", gt_box=[box, other]),
        entry("cat_dog_12_cat", gt_box=other),
    )
    assert [clip.sample_id for clip in clips] == ["accordion_baby_10467", "cat_dog_12"]
    assert [frame.name for frame in clips[1].annotations] == ["cat_dog_12_dog", "cat_dog_12_cat"]
    assert sample_of(clips[1].annotations[0], SINGLE).category == "dog"
    expected = np.zeros((224, 224), bool)
    expected[99:185, 47:154] = True
    assert (sample_of(clips[1].annotations[0], SINGLE).mask((224, 224)) == expected).all()
    expected[:10, :10] = True
    assert (sample_of(clips[0].annotations[0], SINGLE).mask((224, 224)) == expected).all()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("cat", gt_box=[0, 0, 1, 1])], "must end in <image>_<source>"),
        ([entry("cat_dog_1_cat")], "no ground truth: one of gt_box, gt_mask, mask"),
        ([entry("cat_dog_1_cat", gt_box=[5, 0, 1, 1])], r"gt_box must be a box .* x0 <= x1"),
        ([entry("cat_dog_1_cat", gt_box=[[0, 0, 1, 1], 3])], r"gt_box\[1\] must be a box"),
        ([entry("cat_dog_1_cat", gt_box=[0, 0, 1, 1])] * 2, "entry 1: cat_dog_1_cat has an earlier entry"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, entries: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(AnnotationError, match=words):
        read(tmp_path, *entries)
