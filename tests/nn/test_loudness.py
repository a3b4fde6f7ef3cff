"""The loudness of the pieces of a segment: values, alignment in time, and beside the features of an encoder."""

import math

import pytest
import torch

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.loudness import MEAN_DB, SPREAD_DB, with_loudness
from tavlo_pl.nn.pretrained import YAMNet

SEGMENTS, SAMPLES, PIECES = 4, 32_000, 5


def loudness(waveform: torch.Tensor) -> torch.Tensor:
    """(L,) samples to (T, k)."""
    return with_loudness(torch.zeros(1, SEGMENTS, 0), WaveformColumns(SEGMENTS)(waveform[None]), PIECES)[0]


def test_silence_and_a_tone_have_their_level() -> None:
    tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(SAMPLES) / 16_000)
    expected = [(20 * math.log10(amplitude + 1e-4) - MEAN_DB) / SPREAD_DB for amplitude in (0, 0.5 / math.sqrt(2))]
    for waveform, level in zip((torch.zeros(SAMPLES), tone), expected, strict=True):
        torch.testing.assert_close(loudness(waveform), torch.full((SEGMENTS, PIECES), level), atol=0.02, rtol=0)


@pytest.mark.parametrize("segment", range(SEGMENTS))
@pytest.mark.parametrize("piece", [0, 3])
def test_a_piece_is_where_its_sound_is(segment: int, piece: int) -> None:
    waveform = torch.zeros(SAMPLES)
    length = SAMPLES // SEGMENTS // PIECES
    first = (segment * PIECES + piece) * length
    waveform[first : first + length] = 0.3
    is_loud = loudness(waveform) > 0
    assert is_loud.nonzero().tolist() == [[segment, piece]]


def test_an_encoder_appends_it_and_tells_the_same_classes() -> None:
    torch.manual_seed(0)
    encoder = YAMNet(loudness=PIECES).eval()
    encoder.tells_classes.fill_(value=True)
    columns = WaveformColumns(SEGMENTS)(0.1 * torch.randn(1, SAMPLES))
    with torch.no_grad():
        features, scores = encoder(columns, SEGMENTS), encoder.classify(encoder(columns, SEGMENTS))
        encoder.loudness = 0
        without = encoder(columns, SEGMENTS)
    torch.testing.assert_close(scores, encoder.classify(without))
    assert features.shape == (1, SEGMENTS, encoder.width) and encoder.width == 1024 + PIECES
    assert torch.equal(features[..., :1024], without)
    assert torch.equal(features, with_loudness(without, columns, PIECES))


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="loudness of the audio encoder is -1"):
        YAMNet(loudness=-1)
