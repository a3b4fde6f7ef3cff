"""The packaged checkpoint, and the notes about it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tavlo_pl.predict.checkpoint import (
    load_localizer,
    packaged_checkpoint,
    packaged_checkpoint_note,
    read_checkpoint,
)

WEIGHTS = packaged_checkpoint().parent


@pytest.mark.parametrize(("path", "mib"), [(packaged_checkpoint(), 16), (WEIGHTS / "world.safetensors", 1)])
def test_checkpoints_are_small_and_match_their_cards(path: Path, mib: int) -> None:
    assert path.stat().st_size <= mib * 2**20
    localizer = load_localizer(path, device="cpu")
    assert localizer.threshold is not None and 0 < localizer.threshold < 1
    parameters = sum(p.numel() for p in localizer.model.parameters())
    card = path.with_suffix(".md").read_text()
    assert f"{parameters:,} parameters" in card
    assert np.isclose(localizer.threshold, float(card.split("| threshold | ")[1].split(",")[0]), atol=5e-4)


def test_localizer_uses_the_spectrogram_of_training(tmp_path: Path) -> None:
    content = read_checkpoint(WEIGHTS / "world.safetensors")
    config = yaml.safe_load(content["tavlo"]["config"])
    for frequencies, bands in (
        ("linear", 257),
        ("mel", config["data"]["clip"]["mel_bands"]),
        (None, config["data"]["clip"]["mel_bands"]),
    ):
        config["data"]["clip"]["frequencies"] = frequencies
        if frequencies is None:  # checkpoints of earlier versions
            del config["data"]["clip"]["frequencies"]
        torch.save(content | {"tavlo": {"config": yaml.safe_dump(config)}}, tmp_path / "some.ckpt")
        localizer = load_localizer(tmp_path / "some.ckpt", device="cpu")
        spec = localizer.spec
        spectrogram = localizer.audio_transform(torch.zeros(1, round(16_000 * spec.duration_s)))
        assert spectrogram.shape == (1, 1, bands, spec.segments * spec.columns_per_segment)


def test_packaged_checkpoint_note_names_the_option() -> None:
    assert packaged_checkpoint_note().endswith("with --ckpt_path")
    assert packaged_checkpoint_note("checkpoint=").endswith("with checkpoint=")
