"""Time alignment of the audio encoder: segment t makes feature t, and nothing else does."""

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.audio import AudioEncoder

SEGMENTS, COLUMNS, SAMPLES = 5, 20, 16_000


@pytest.fixture
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(32).eval()


def test_feature_depends_on_the_samples_of_its_segment_and_the_margin_only(encoder: AudioEncoder) -> None:
    log_mel = LogMel(SEGMENTS, COLUMNS, 64)
    margin = log_mel.margin_samples(SAMPLES)
    length = SAMPLES // SEGMENTS
    quiet = 0.01 * torch.randn(1, SAMPLES)
    with torch.no_grad():
        before = encoder(log_mel(quiet), SEGMENTS)[0]
        for segment in range(SEGMENTS):
            inside = quiet.clone()
            inside[:, segment * length + margin : (segment + 1) * length - margin] += torch.randn(length - 2 * margin)
            changed = (encoder(log_mel(inside), SEGMENTS)[0] - before).abs().amax(-1) > 0
            assert changed.nonzero().flatten().tolist() == [segment]


def test_spectrogram_that_cannot_be_cut_into_segments(encoder: AudioEncoder) -> None:
    with pytest.raises(ConfigError, match="101 columns cannot be cut into 5"):
        encoder(torch.zeros(1, 1, 64, 101), 5)


@pytest.mark.parametrize(("bands", "columns"), [(64, 100), (40, 24), (128, 50)])
def test_any_spectrogram_fits(encoder: AudioEncoder, bands: int, columns: int) -> None:
    assert encoder(torch.zeros(2, 1, bands, 3 * columns), 3).shape == (2, 3, 32)
