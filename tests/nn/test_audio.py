"""Time alignment of the audio encoder: feature t depends on segment t only."""

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.audio import RandomAudio, SegmentCNN

SEGMENTS, COLUMNS, SAMPLES = 5, 20, 16_000


@pytest.fixture
def encoder() -> SegmentCNN:
    torch.manual_seed(0)
    return SegmentCNN(32).eval()


def test_feature_depends_on_its_segment_only(encoder: SegmentCNN) -> None:
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


def test_columns_must_be_a_multiple_of_segments(encoder: SegmentCNN) -> None:
    with pytest.raises(ConfigError, match="101 columns cannot be divided into 5"):
        encoder(torch.zeros(1, 1, 64, 101), 5)


@pytest.mark.parametrize(("bands", "columns"), [(64, 100), (40, 24), (128, 50)])
def test_encoder_accepts_any_bands_and_columns(encoder: SegmentCNN, bands: int, columns: int) -> None:
    assert encoder(torch.zeros(2, 1, bands, 3 * columns), 3).shape == (2, 3, 32)


@pytest.mark.parametrize(("extra", "columns"), [(0, [40, 59]), (1, [32, 47]), (-1, [50, 74])])
def test_extra_pieces_misalign_the_audio(extra: int, columns: list[int]) -> None:
    """Feature 2 of 5 depends on piece 2 of 5 + extra."""
    torch.manual_seed(0)
    encoder = SegmentCNN(8, extra_pieces=extra).eval()
    spectrogram = torch.randn(1, 1, 64, 100, requires_grad=True)
    encoder(spectrogram, 5)[0, 2].sum().backward()
    assert spectrogram.grad is not None
    reached = spectrogram.grad[0, 0].abs().sum(0).nonzero().flatten()
    assert [reached.min().item(), reached.max().item()] == columns


def test_span_clip_returns_the_mean_feature(encoder: SegmentCNN) -> None:
    spectrogram = torch.randn(2, 1, 64, 100)
    features = encoder(spectrogram, 5)
    encoder.span = "clip"
    assert torch.allclose(encoder(spectrogram, 5), features.mean(1, keepdim=True).expand(2, 5, 32))


def test_extra_pieces_must_leave_one_piece(encoder: SegmentCNN) -> None:
    encoder.extra_pieces = -5
    with pytest.raises(ConfigError, match="cannot be divided into 0 pieces"):
        encoder(torch.zeros(1, 1, 64, 100), 5)


def test_random_audio_does_not_depend_on_the_audio() -> None:
    encoder = RandomAudio(16)
    features = []
    for spectrogram in (torch.zeros(2, 1, 64, 40), torch.randn(2, 1, 64, 40)):
        torch.manual_seed(0)
        features.append(encoder(spectrogram, SEGMENTS - 1))
    assert features[0].shape == (2, 4, 16) and torch.equal(*features)
    assert not list(encoder.parameters())
