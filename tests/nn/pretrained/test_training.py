"""Frozen encoders in a run of the Trainer."""

import warnings

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.attention import AttentionConfig
from tavlo_pl.nn.pretrained import EfficientNetLite0, YAMNet


def batches() -> DataLoader[dict[str, torch.Tensor]]:
    clips = [
        {
            "frames": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
            "spectrogram": WaveformColumns(2)(torch.randn(1, 16_000) / 10)[0],
            "index": torch.tensor(n),
        }
        for n in range(4)
    ]
    return DataLoader(clips, batch_size=4)  # type: ignore[arg-type]


def test_a_fit_changes_no_frozen_encoder() -> None:
    torch.manual_seed(0)
    model = TAVLO(EfficientNetLite0((32,)), YAMNet(trained=1), 16, AttentionConfig(num_layers=0))
    assert model.training and not any(part.training for part in model.visual.trunk.modules())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(
            accelerator="cpu", max_steps=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(model, batches())  # fmt: skip
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    encoders = {name for name in changed if name.startswith(("visual.", "audio."))}
    assert {name.split(".")[1] + name.split(".")[2] for name in encoders} == {"dw12", "bd12", "pw12", "bp12"}
    assert "project.weight" in changed
