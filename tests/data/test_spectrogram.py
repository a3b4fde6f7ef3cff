import math

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.errors import ConfigError

SEGMENTS, PER_SEGMENT, SAMPLES = 4, 25, 16_000
STEP = SAMPLES // SEGMENTS


@pytest.fixture(scope="module")
def log_mel() -> LogMel:
    return LogMel(SEGMENTS, PER_SEGMENT, mel_bands=64)


@pytest.fixture
def noise() -> torch.Tensor:
    return 0.1 * torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0))


def changed(before: torch.Tensor, after: torch.Tensor) -> list[bool]:
    """Which segments' columns differ anywhere."""
    return [bool((a != b).any()) for a, b in zip(before.chunk(SEGMENTS, -1), after.chunk(SEGMENTS, -1), strict=True)]


def test_shape_and_sizes(log_mel: LogMel, noise: torch.Tensor) -> None:
    assert log_mel(noise).shape == (2, 1, 64, SEGMENTS * PER_SEGMENT)
    assert log_mel(noise.double()).dtype == torch.float64


def test_linear_frequencies_are_those_of_the_transform() -> None:
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(SAMPLES) / SAMPLES)[None]
    columns = LogMel(SEGMENTS, PER_SEGMENT, frequencies="linear")(tone)
    assert columns.shape == (1, 1, 257, SEGMENTS * PER_SEGMENT)
    assert (columns[0, 0, :, 5:-5].argmax(0) == 32).all()  # 31.25 Hz a row
    assert torch.allclose(20 * columns[0, 0, 32, 5:-5] - 60, torch.tensor(-6.02), atol=0.05)


@pytest.mark.parametrize("segment", range(SEGMENTS))
def test_spectrogram_segment_depends_on_its_samples_alone(log_mel: LogMel, noise: torch.Tensor, segment: int) -> None:
    margin = log_mel.margin_samples(SAMPLES)
    assert margin < STEP / 10
    before = log_mel(noise)
    first, last = segment * STEP, (segment + 1) * STEP

    for sample in (first, first + STEP // 2, last - 1):  # each of its samples is heard, at both ends too
        touched = noise.clone()
        touched[:, sample] += 0.5
        assert changed(before, log_mel(touched))[segment]

    beyond = torch.randn_like(noise)
    beyond[:, max(0, first - margin) : last + margin] = noise[:, max(0, first - margin) : last + margin]
    expected = [other != segment for other in range(SEGMENTS)]
    assert changed(before, log_mel(beyond)) == expected


def test_the_stated_margin_is_not_larger_than_needed(log_mel: LogMel, noise: torch.Tensor) -> None:
    margin = log_mel.margin_samples(SAMPLES)
    touched = noise.clone()
    touched[:, 2 * STEP - margin + 4] += 0.5  # the window's rim is close to 0, so a few samples further in
    assert changed(log_mel(noise), log_mel(touched)) == [False, True, True, False]


def test_a_click_lights_the_column_that_covers_it(log_mel: LogMel) -> None:
    waveform = torch.zeros(1, SAMPLES)
    waveform[0, 8_080] = 1.0
    energy = log_mel(waveform).sum(2).squeeze()
    assert energy.argmax() == 8_080 * SEGMENTS * PER_SEGMENT // SAMPLES


def test_a_tone_lights_its_band_and_silence_looks_silent(log_mel: LogMel) -> None:
    time_s = torch.arange(SAMPLES) / 16_000
    tone = torch.sin(2 * math.pi * 1_000 * time_s)
    columns = log_mel(torch.stack([tone, 0.01 * tone, torch.zeros(SAMPLES)]))[:, 0, :, 50]
    assert columns[0].argmax() == columns[1].argmax()
    assert columns[0].max() == pytest.approx((-6 + 60) / 20, abs=0.15)
    assert columns[0].max() - columns[1].max() == pytest.approx(40 / 20, abs=0.01)  # level is kept, not normalised
    assert (columns[2] == -2).all()
    low, high = (torch.sin(2 * math.pi * hertz * time_s)[None] for hertz in (200, 5_000))
    assert log_mel(low)[0, 0, :, 50].argmax() < columns[0].argmax() < log_mel(high)[0, 0, :, 50].argmax()


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_too_many_bands_are_refused() -> None:
    with pytest.raises(ConfigError, match="mel_bands 300"):
        LogMel(SEGMENTS, PER_SEGMENT, mel_bands=300)
