"""``predict --save_attention true``: the weights of every block, and a picture of each."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

from tavlo_pl.callbacks.attention_writer import PICTURE_HEIGHT_PX, AttentionWriter
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.errors import ConfigError
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.visual import ShuffleNet
from tests.helpers.clips import write_numbered

SEGMENTS, BLOCKS, CELLS = 4, 2, 16  # 32 pixels, 8 a cell
NARROW = {"width": 24, "temporal_width": 8, "heads": 4, "audio_channels": (8, 8)}


def predict(model: LightningModule, root: Path, out: Path) -> None:
    data = ClipDataModule(root=str(root), segments=SEGMENTS, duration_s=1.0, image_size=32, num_workers=0)
    Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[AttentionWriter(out)],
    ).predict(model, data, return_predictions=False)


def test_one_archive_and_a_picture_a_block_for_every_window(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_numbered(tmp_path / "in" / "long.mp4", seconds=1.5, size=(64, 96))
    write_numbered(tmp_path / "in" / "short.mp4", seconds=1.0, size=(64, 96))
    torch.manual_seed(0)
    predict(TAVLO(ShuffleNet(), layers=BLOCKS, **NARROW), tmp_path / "in", tmp_path / "out")  # type: ignore[arg-type]
    windows = ("long.window0", "long.window1", "short")
    suffixes = ("attention.npz", "attention-0.png", "attention-1.png")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{w}.{s}" for w in windows for s in suffixes}
    archive = np.load(tmp_path / "out" / "short.attention.npz")
    assert archive["attention"].shape == (BLOCKS, 1 + CELLS, SEGMENTS, SEGMENTS)
    assert archive["attention"].astype(float).sum(-1) == pytest.approx(1, abs=1e-2)
    assert archive["frame_time_s"].shape == (SEGMENTS,)
    with Image.open(tmp_path / "out" / "short.attention-1.png") as picture:
        assert picture.height > SEGMENTS * PICTURE_HEIGHT_PX


def test_a_model_without_temporal_attention_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_numbered(tmp_path / "in" / "short.mp4", seconds=1.0, size=(64, 96))
    with pytest.raises(ConfigError, match="TAVLO as configured has no temporal attention"):
        predict(TAVLO(ShuffleNet(), layers=0, **NARROW), tmp_path / "in", tmp_path / "out")  # type: ignore[arg-type]
