import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.data.datasets.avsbench import AVSBench
from tavlo_pl.errors import AnnotationError
from tavlo_pl.types import Scenario
from tests.helpers.trees import sample_of

SINGLE = Scenario.SINGLE_SOUND


def read(folder: Path, *entries: dict[str, Any]) -> list[Any]:
    path = folder / "list.json"
    path.write_text(json.dumps(entries))
    return AVSBench(str(path)).clips()


def s4(second: int, truth: Any, field: str = "gt_box") -> dict[str, Any]:
    return {"image": f"/far/visual_frames/test/helicopter/2fIX-p9h_q0/2fIX-p9h_q0_{second}.png", field: truth}


def mask_file(path: Path, value: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((224, 224), np.uint8)
    mask[30:60, 100:180] = value
    Image.fromarray(mask).save(path)
    return mask > 0


@pytest.mark.parametrize("field", ["gt_box", "gt_mask", "mask"])
@pytest.mark.parametrize("value", [1, 255])
def test_masks_are_found_below_the_list(tmp_path: Path, field: str, value: int) -> None:
    expected = mask_file(tmp_path / "gt_masks" / "test" / "2fIX-p9h_q0_2.png", value)
    mask_file(tmp_path / "gt_masks" / "test" / "2fIX-p9h_q0_1.png", 0)
    truth = "/far/away/gt_masks/test/2fIX-p9h_q0_{}.png"
    (clip,) = read(tmp_path, s4(2, truth.format(2), field), s4(1, truth.format(1), field))
    assert clip.sample_id == "2fIX-p9h_q0"
    assert [(frame.number, frame.time_s, frame.scenarios) for frame in clip.annotations] == [
        (1, 1.0, (Scenario.OFF_SCREEN,)),
        (2, 2.0, (SINGLE,)),
    ]
    frame = clip.annotations[1]
    assert sample_of(frame, SINGLE).category == "helicopter"
    assert (sample_of(frame, SINGLE).mask((224, 224)) == expected).all()
    assert sample_of(frame, SINGLE).mask((112, 112)).sum() == 15 * 40


def test_avsbench_zero_boxes_are_silent_frames(tmp_path: Path) -> None:
    image = "/far/ms3_data/visual_frames/rq5RDUm2Hnk_1/rq5RDUm2Hnk_1.mp4_{}.png"
    (clip,) = read(
        tmp_path,
        {"image": image.format(1), "gt_box": [0.0, 0.0, 0.0, 0.0]},
        {"image": image.format(2), "gt_box": [75.0, 0.0, 200.0, 223.0]},
    )
    assert clip.sample_id == "rq5RDUm2Hnk_1"
    assert [frame.scenarios for frame in clip.annotations] == [(Scenario.OFF_SCREEN,), (SINGLE,)]
    assert sample_of(clip.annotations[1], SINGLE).mask((224, 224)).sum() == 125 * 223


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"entry 0\.gt_box: no mask /far/m\.png nor any end of that path"):
        read(tmp_path, s4(1, "/far/m.png"))
    (tmp_path / "m.png").write_text("<html>")
    with pytest.raises(AnnotationError, match=r"m\.png: no image that holds a mask"):
        read(tmp_path, s4(1, "/far/m.png"))
    with pytest.raises(AnnotationError, match=r"must end in <clip>_<second>\.png, found dog\.png"):
        read(tmp_path, {"image": "dog.png", "gt_box": [0, 0, 1, 1]})
    with pytest.raises(AnnotationError, match="has an earlier entry"):
        read(tmp_path, s4(1, [0, 0, 1, 1]), s4(1, [0, 0, 1, 1]))
