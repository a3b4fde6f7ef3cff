"""SAM 2 of transformers with random weights: the same masks as by transformers itself, through every command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance, mask_of
from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.segmenters import Prompt, make_segmenter
from tavlo_pl.data import media
from tavlo_pl.data.annotations import Instance
from tavlo_pl.errors import CheckpointError
from tavlo_pl.types import Scenario
from tests.helpers.annotate import CLIPS, RATE, SIZE, make_project, propose, write_bursts
from tests.helpers.cli import tavlo
from tests.helpers.sam2 import write_tiny_sam2

pytestmark = pytest.mark.slow  # they import transformers

HEIGHT, WIDTH = SIZE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sam2(tmp_path_factory.mktemp("sam2"))


def frame(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@torch.inference_mode()
def expected(folder: Path, **prompt: Any) -> tuple[np.ndarray, float]:
    """The best of three masks by transformers alone, from pixels and prompt in one call."""
    import transformers

    processor = transformers.Sam2Processor.from_pretrained(folder)
    model = transformers.Sam2Model.from_pretrained(folder).eval()
    is_one = "input_boxes" in prompt or len(prompt["input_points"][0][0]) > 1
    inputs = processor(images=frame(), return_tensors="pt", **prompt)
    del inputs["original_sizes"]
    found = model(**inputs, multimask_output=not is_one)
    masks = processor.post_process_masks(found.pred_masks, [[HEIGHT, WIDTH]])[0][0]
    best = int(found.iou_scores[0, 0].argmax())
    return masks[best].numpy(), float(found.iou_scores[0, 0, best])


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (Prompt(((20.0, 10.0, True),)), {"input_points": [[[[20.0, 10.0]]]], "input_labels": [[[1]]]}),
        (
            Prompt(((20.0, 10.0, True), (80.0, 50.0, False))),
            {"input_points": [[[[20.0, 10.0], [80.0, 50.0]]]], "input_labels": [[[1, 0]]]},
        ),
        (Prompt(box=(10.0, 5.0, 30.0, 40.0)), {"input_boxes": [[[10.0, 5.0, 40.0, 45.0]]]}),
    ],
)
def test_masks_are_those_of_transformers(folder: Path, prompt: Prompt, asked: dict[str, Any]) -> None:
    segmenter = make_segmenter(str(folder))
    assert segmenter is not None and segmenter.name == "sam2"
    segmenter.segment(frame(1), prompt)  # features of another frame must not be used
    mask, score = expected(folder, **asked)
    for _ in range(2):  # with and without stored features
        found = segmenter.segment(frame(), prompt)
        assert (found is None) == (not mask.any())
        if found is not None:
            assert found[0].shape == SIZE and (found[0] == mask).all() and found[1] == pytest.approx(score, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_propose_segments_boxes_of_the_detector(folder: Path, tmp_path: Path) -> None:
    write_bursts(tmp_path / "videos" / f"{CLIPS[0]}.mp4")
    detector = ("--detector", "ssdlite320_mobilenet_v3_large", "--detector_weights", "none", "--min_score", 0)
    outcome = propose(
        tmp_path / "videos", tmp_path / "out", *detector, "--most_instances", 3, "--segmenter", folder, "--apart_s", 2
    )
    assert outcome.code == 0, outcome.err
    (proposed,) = Project.open(tmp_path / "out").proposals(CLIPS[0]).frames
    made = [each for each in proposed.record.instances if each.provenance.by.endswith("+sam2")]
    assert len(proposed.record.instances) == 3 and made
    assert all(each.instance.rle is not None and mask_of(each.instance, proposed.record).any() for each in made)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A clip with an accepted box from 0.5 to 1.5 s in its frame 7, which must reach frame 12."""
    made = make_project(tmp_path / "project", CLIPS[:1])
    instance = Instance("dog", Scenario.SINGLE_SOUND, bbox=(20, 10, 40, 30))
    accepted = FrameInstance("p0", instance, "accepted", Provenance("person"), (0.5, 1.5))
    Decisions(made.folder).save(CLIPS[0], FrameRecord(7, 0.7, WIDTH, HEIGHT, "done", (accepted,)), "ann")
    return made


def test_propagate_carries_masks_by_video_memory(folder: Path, project: Project) -> None:
    outcome = tavlo("annotate", "propagate", project.folder, "--tracker", folder, "--every_s", 9)
    assert outcome.code == 0, outcome.err
    import transformers

    model = transformers.Sam2VideoModel.from_pretrained(folder).eval()
    processor = transformers.Sam2VideoProcessor.from_pretrained(folder)
    numbers = [7, 10, 12]  # 4 frames a second from the source, and the frame of the queue
    video = media.read_clip(project.video(CLIPS[0]), np.array(numbers) / RATE, SIZE, 0.0, 0.0).frames
    mask = np.zeros(SIZE, bool)
    mask[10:40, 20:60] = True
    with torch.inference_mode():
        session = processor.init_video_session(video=list(video))
        processor.process_new_mask_for_video_frame(session, 0, [1], [mask])
        last = list(model.propagate_in_video_iterator(session, start_frame_idx=0))[-1]
    carried = processor.post_process_masks([last.pred_masks], [list(SIZE)])[0][0, 0].numpy()
    frames = {each.number: each for each in Decisions(project.folder).frames(CLIPS[0])}
    assert carried.any() and set(frames) == {7, 12}
    (each,) = frames[12].instances
    assert (each.id, each.status, each.provenance.by, each.span_s) == ("s7.p0", "proposed", "sam2", (0.5, 1.5))
    assert (mask_of(each.instance, frames[12]) == carried).all()
    assert each.provenance.score == pytest.approx(float(last.object_score_logits.sigmoid()), abs=1e-3)


def test_tracker_stops_at_a_cut(folder: Path) -> None:
    from tavlo_pl.annotate.sam2 import Sam2Tracker

    bright = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    mask = np.zeros(SIZE, bool)
    mask[10:40, 20:60] = True
    tracker = Sam2Tracker(str(folder))
    positions = [each.position for each in tracker.carry(np.stack([frame()] * 3 + [bright] * 2), mask)]
    assert positions == [1, 2]


def test_missing_models_are_refused_in_a_sentence(
    folder: Path, tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    for command in (("serve", "--segmenter"), ("propagate", "--tracker")):
        outcome = tavlo("annotate", command[0], project.folder, command[1], tmp_path / "empty")
        assert outcome.code == 2 and f"{command[1]} {tmp_path / 'empty'}: transformers cannot read it" in outcome.err
        assert outcome.err.count("\n") == 1
    import transformers

    vit = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    transformers.ViTModel(vit).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "processor_config.json").write_text((folder / "processor_config.json").read_text())
    with pytest.raises(CheckpointError, match="--segmenter"):
        make_segmenter(str(tmp_path / "vit"))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    outcome = tavlo("annotate", "serve", project.folder, "--segmenter", folder)
    assert outcome.code == 2 and "pip install 'tavlo_pl[transformers]'" in outcome.err
