from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from tavlo_pl.callbacks.gallery import CLIP_GAP_PX, IMAGE_HEIGHT_PX, TAG, Gallery
from tavlo_pl.types import BadClip, Scenario, Targets
from tavlo_pl.viz.overlay import GAP_PX, OUTLINE
from tests.helpers.suite import flags

SEGMENTS, SIZE = 3, 48
STRIP = (2 * IMAGE_HEIGHT_PX + GAP_PX, SEGMENTS * (IMAGE_HEIGHT_PX + GAP_PX) - GAP_PX)


def batch(first: int, sample_ids: list[str], bad: tuple[int, ...] = ()) -> dict[str, Any]:
    """Frames as bright as ten times their index; segment 1 of the first clip has two annotated scenarios."""
    count = len(sample_ids)
    index = torch.arange(first, first + count)
    mask = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    mask[0, 5:15, 5:15] = mask[1, 30:40, 30:40] = True
    targets = Targets(
        mask=mask,
        row=torch.zeros(2, dtype=torch.int64),
        segment=torch.ones(2, dtype=torch.int64),
        next_segment=torch.ones(2, dtype=torch.int64),
        blend=torch.zeros(2),
        index=torch.arange(2),
        clip=torch.zeros(2, dtype=torch.int64),
        scenarios=flags(Scenario.SINGLE_SOUND, Scenario.SINGLE_SOUND),
        cross_event=torch.zeros(2, dtype=torch.bool),
        time_s=torch.zeros(2, dtype=torch.float64),
        sources=torch.ones(2, dtype=torch.int64),
        sample_id=["a/0/x", "a/0/y"],
        category=["dog", "dog"],
        cue=["", ""],
    )
    return {
        "frames": (10 * index[:, None, None, None, None]).expand(-1, SEGMENTS, 3, SIZE, SIZE).to(torch.uint8),
        "index": index,
        "sample_id": sample_ids,
        "targets": targets,
        "bad_clips": [BadClip(number, "", "", 0) for number in bad],
    }


class Flat(LightningModule):
    """A map without any peak, so that only frames and outlines are seen."""

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, torch.Tensor]:
        return {"heatmap": torch.zeros(len(batch["index"]), SEGMENTS, 2, 2, dtype=torch.bfloat16)}


def pictures(folder: Path, clips: int, validations: int = 1) -> list[np.ndarray]:
    batches = [batch(1, ["one", "two"]), batch(3, ["broken", "two", "three", "four"], bad=(3,))]
    trainer = Trainer(
        accelerator="cpu",
        logger=TensorBoardLogger(str(folder), name="", version=""),
        callbacks=[Gallery(clips)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Flat()
    for _ in range(validations):
        trainer.validate(model, DataLoader(batches, batch_size=None), verbose=False)
    events = EventAccumulator(str(folder)).Reload()
    if TAG not in events.Tags()["images"]:
        return []
    return [np.asarray(Image.open(BytesIO(image.encoded_image_string))) for image in events.Images(TAG)]


def test_gallery_shows_the_first_readable_clips_once(tmp_path: Path) -> None:
    (sheet,) = pictures(tmp_path, clips=3)
    assert sheet.shape == (3 * (STRIP[0] + CLIP_GAP_PX) - CLIP_GAP_PX, STRIP[1], 3)
    middle = np.arange(3) * (STRIP[0] + CLIP_GAP_PX) + IMAGE_HEIGHT_PX // 2
    assert sheet[middle, 20, 0].tolist() == [10, 20, 50]  # one, two, three; not broken, not two again


def test_gallery_outlines_ground_truth_at_its_segment(tmp_path: Path) -> None:
    (sheet,) = pictures(tmp_path, clips=1)
    rows, columns = np.nonzero((sheet[:IMAGE_HEIGHT_PX] == OUTLINE).all(-1))
    left = IMAGE_HEIGHT_PX + GAP_PX
    assert (columns.min(), columns.max()) == (left + 10, left + 79)
    assert (rows.min(), rows.max()) == (10, 79)
    assert (sheet[IMAGE_HEIGHT_PX + GAP_PX :] == OUTLINE).all(-1).any()


def test_gallery_is_the_same_after_every_validation(tmp_path: Path) -> None:
    first, second = pictures(tmp_path, clips=2, validations=2)
    assert (first == second).all()


def test_gallery_without_logger_draws_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.callbacks.gallery.draw_row", lambda *_: pytest.fail("drawn"))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[Gallery()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(Flat(), DataLoader([batch(0, ["one"])], batch_size=None), verbose=False)
