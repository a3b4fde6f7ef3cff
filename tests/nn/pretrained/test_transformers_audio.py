"""Audio encoders of transformers, with small random models: shapes, exact context, frozen layers, and clear errors."""

from pathlib import Path

import pytest
import torch

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained import TransformersAudioEncoder
from tavlo_pl.nn.pretrained.transformers_audio import segment_windows
from tests.helpers.pretrained import audio_model

SEGMENTS, SAMPLES = 4, 32_000


def columns(waveform: torch.Tensor) -> torch.Tensor:
    return WaveformColumns(SEGMENTS)(waveform)


@pytest.mark.parametrize("kind", ["ast", "wav2vec2", "hubert", "clap", "whisper"])
def test_a_feature_sees_its_context_alone(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    encoder = TransformersAudioEncoder(str(audio_model(tmp_path, kind)), context_s=0.8).eval()
    waveform = 0.1 * torch.randn(1, SAMPLES)
    changed = waveform.clone()
    changed[:, :5600] = 0  # the context of segment 1 is 0.35 to 1.15 s
    changed[:, 18_400:] = 0
    with torch.no_grad():
        before, after = (encoder(columns(audio), SEGMENTS) for audio in (waveform, changed))
    assert before.shape == (1, SEGMENTS, encoder.width)
    assert torch.allclose(before[0, 1], after[0, 1], atol=1e-5)
    assert (before[0, 3] - after[0, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("context_s", [None, 0.3, 1.0])
def test_windows_are_centred_on_their_segments(context_s: float | None) -> None:
    waveform = torch.arange(1.0, SAMPLES + 1)[None]
    windows = segment_windows(waveform, SEGMENTS, context_s)
    length = SAMPLES // SEGMENTS if context_s is None else round(context_s * 16_000)
    assert windows.shape == (1, SEGMENTS, length)
    for segment, window in enumerate(windows[0]):
        inside = window[window > 0]
        centre = (segment + 0.5) * SAMPLES / SEGMENTS
        assert inside[0] - 1 == max(0, centre - length / 2) and inside[-1] == min(SAMPLES, centre + length / 2)


def test_the_loudness_follows_the_hidden_state(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = TransformersAudioEncoder(str(audio_model(tmp_path, "ast")), loudness=2).eval()
    waveform = torch.zeros(1, SAMPLES)
    waveform[:, -SAMPLES // SEGMENTS // 2 :] = 0.1  # the second half of the last segment
    with torch.no_grad():
        features = encoder(columns(waveform), SEGMENTS)
    assert features.shape == (1, SEGMENTS, encoder.width)
    assert (features[0, :, -2:] > 0).nonzero().tolist() == [[SEGMENTS - 1, 1]]


def test_the_last_layers_are_trained(tmp_path: Path) -> None:
    encoder = TransformersAudioEncoder(str(audio_model(tmp_path, "ast")), trained=1).train()
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained and all(".1." in name for name in trained)


def test_errors_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="transformers cannot read it"):
        TransformersAudioEncoder(str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="must be positive"):
        TransformersAudioEncoder("any", context_s=0)
