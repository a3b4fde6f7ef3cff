"""Audio windows around frames, and encoders of whole windows."""

import math

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.audio import SegmentCNN
from tavlo_pl.nn.clip_audio import (
    AudioResNet18,
    MeanOfSegments,
    SmallAudio,
    audio_windows,
    log_density,
    window_of_segment,
)
from tavlo_pl.nn.pretrained import YAMNet


def test_windows_are_centred_and_complete_at_the_ends() -> None:
    spectrogram = torch.arange(5).repeat_interleave(2).float().view(1, 1, 1, 10)  # segment numbers, two columns each
    windows = audio_windows(spectrogram, 5, 3)[:, window_of_segment(5, 3)]
    segments = [window.flatten().unique().tolist() for window in windows[0]]
    assert segments == [[0, 1, 2], [0, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 4]]
    assert windows.shape == (1, 5, 1, 1, 6)


def test_window_of_all_segments_is_the_clip() -> None:
    spectrogram = torch.randn(2, 1, 4, 12)
    assert torch.equal(audio_windows(spectrogram, 4, 4), spectrogram[:, None])
    assert window_of_segment(4, 4).tolist() == [0, 0, 0, 0]


def test_audio_windows_needs_a_multiple_of_segments() -> None:
    with pytest.raises(ConfigError, match="10 columns cannot be divided into 4"):
        audio_windows(torch.zeros(1, 1, 2, 10), 4, 2)


def test_log_density_of_white_noise() -> None:
    """Noise of variance v has the one-sided density 2 v / f_s at all frequencies."""
    noise = 0.1 * torch.randn(1, 64_000, generator=torch.Generator().manual_seed(0))
    values = log_density(LogMel(4, 70, frequencies="linear")(noise))
    density = (12 * values).exp()[:, :, 2:-2].mean() - 1e-7
    assert density.item() == pytest.approx(2 * 0.01 / 16_000, rel=0.05)
    assert log_density(torch.full((1,), -2.0)).item() == pytest.approx(math.log(1e-7) / 12, abs=1e-4)  # silence


@pytest.mark.parametrize(
    "encoder", [AudioResNet18(), AudioResNet18("density"), SmallAudio(24, (8,))], ids=["resnet18", "density", "small"]
)
def test_encoders_return_one_feature_for_any_length(encoder: AudioResNet18 | SmallAudio) -> None:
    encoder.eval()
    with torch.no_grad():
        for columns in (24, 60):
            assert encoder(torch.randn(2, 1, 32, columns)).shape == (2, encoder.width)


def test_mean_of_segments_takes_a_window_of_the_waveform() -> None:
    torch.manual_seed(0)
    audio = MeanOfSegments(YAMNet()).eval()
    window = 0.1 * torch.randn(2, 1, 8000, 3)
    with torch.no_grad():
        torch.testing.assert_close(audio(window), audio.encoder(window, 3).mean(1))
    with pytest.raises(ConfigError, match="takes the waveform"):
        MeanOfSegments(SegmentCNN(8, (4,)))


def test_encoders_of_spectrograms_refuse_waveforms() -> None:
    waveform = torch.zeros(1, 1, 8000, 4)
    for encoder in (AudioResNet18(), SmallAudio(8, (4,))):
        with pytest.raises(ConfigError, match="frequencies to mel or linear"):
            encoder(waveform)
