"""Baselines without training."""

import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.untrained import ImageSaliency, Motion, sliding_correlation
from tavlo_pl.nn.visual import ShuffleNet


def test_motion_measures_energy_and_correlation() -> None:
    """Two cells change at different times; the audio is loud when the right one changes."""
    frames = torch.zeros(1, 6, 3, 8, 16, dtype=torch.uint8)
    frames[0, 1::2, :, :, :8] = 255  # the left half changes in every frame
    frames[0, 4:, :, :, 8:] = 255  # the right half changes once, between 3 and 4
    energy = Motion("energy", cells=2).localize(frames, torch.zeros(1, 1, 4, 12))
    assert energy.shape == (1, 6, 2, 2)
    assert energy[0, :, 0, 0].tolist() == [1.0] * 6
    assert energy[0, :, 0, 1].tolist() == [0, 0, 0, 0.5, 0.5, 0]
    spectrogram = torch.tensor([0, 0, 0, 1.0, 1.0, 0]).repeat_interleave(2).expand(1, 1, 4, 12)
    maps = Motion("correlation", cells=2, window_segments=11).localize(frames, spectrogram)
    assert torch.allclose(maps[0, :, :, 1], torch.ones(()), atol=1e-4)
    assert not maps[0, :, :, 0].any()  # constant energy has no correlation


def test_sliding_correlation_uses_the_window_of_each_segment() -> None:
    first, second = torch.tensor([[0.0, 1, 0, 0, 1, 0]]), torch.tensor([[0.0, 1, 0, 0, -1, 0]])
    scores = sliding_correlation(first, second, 3)
    assert scores[0, [1, 4]].tolist() == pytest.approx([1, -1])


def test_saliency_needs_weights_and_ignores_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="ImageNet weights"):
        ImageSaliency(ShuffleNet("none")).localize(torch.zeros(1, 2, 3, 32, 32, dtype=torch.uint8), torch.zeros(1))
    encoder = ShuffleNet("none")
    encoder.pretrained = True
    frames = torch.randint(0, 256, (1, 2, 3, 32, 32), dtype=torch.uint8)
    maps = ImageSaliency(encoder).localize(frames, torch.zeros(1, 1, 4, 4))
    assert maps.shape == (1, 2, 4, 4) and maps.amin() == 0 and maps.amax() == 1


def test_training_loss_of_a_baseline_raises() -> None:
    with pytest.raises(ConfigError, match="--allow_untrained"):
        Motion().training_loss(torch.zeros(2, 2, 3, 8, 8), torch.zeros(2, 1, 4, 4))
