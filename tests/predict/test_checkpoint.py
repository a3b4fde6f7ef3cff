"""The ready checkpoint that comes with the package."""

from pathlib import Path

import numpy as np
import torch
import yaml

from tavlo_pl.predict.checkpoint import load_localizer, read_checkpoint, ready_checkpoint

MOST_BYTES = 6 * 2**20


def test_the_ready_checkpoint_is_small_whole_and_has_a_card() -> None:
    path = ready_checkpoint()
    assert path.stat().st_size <= MOST_BYTES
    localizer = load_localizer(path, device="cpu")
    assert localizer.threshold is not None and 0 < localizer.threshold < 1
    parameters = sum(p.numel() for p in localizer.model.parameters())
    card = path.with_suffix(".md").read_text()
    assert f"{parameters:,} parameters" in card and "toy world and nothing else" in card
    assert np.isclose(localizer.threshold, float(card.split("| threshold | ")[1].split(",")[0]), atol=5e-4)


def test_the_spectrogram_is_the_one_of_training(tmp_path: Path) -> None:
    content = read_checkpoint(ready_checkpoint())
    config = yaml.safe_load(content["tavlo"]["config"])
    for frequencies, bands in (
        ("linear", 257),
        ("mel", config["data"]["clip"]["mel_bands"]),
        (None, config["data"]["clip"]["mel_bands"]),
    ):
        config["data"]["clip"]["frequencies"] = frequencies
        if frequencies is None:  # as before it was an option
            del config["data"]["clip"]["frequencies"]
        torch.save(content | {"tavlo": {"config": yaml.safe_dump(config)}}, tmp_path / "some.ckpt")
        localizer = load_localizer(tmp_path / "some.ckpt", device="cpu")
        spec = localizer.spec
        spectrogram = localizer.log_mel(torch.zeros(1, round(16_000 * spec.duration_s)))
        assert spectrogram.shape == (1, 1, bands, spec.segments * spec.columns_per_segment)
