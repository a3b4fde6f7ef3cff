"""Audio negatives equal those computed from changed waveforms."""

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel, WaveformColumns
from tavlo_pl.nn.negatives import match_envelope, shift, silence_and_noise, silent_segments, time_shifted
from tavlo_pl.types import SILENCE

SEGMENTS, COLUMNS, SAMPLES = 4, 20, 16_000


@pytest.fixture
def log_mel() -> LogMel:
    return LogMel(SEGMENTS, COLUMNS, 32)


def test_shift_equals_a_shift_of_the_waveform(log_mel: LogMel) -> None:
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(1, SAMPLES)
    moved = log_mel(waveform.roll(SAMPLES // SEGMENTS, -1))
    inner = slice(COLUMNS + 2, -2)  # windows at the boundary contain both ends of the clip
    assert torch.allclose(shift(log_mel(waveform), SEGMENTS, 1)[..., inner], moved[..., inner], atol=1e-3)


def test_match_envelope_only_reorders_the_segments() -> None:
    levels = torch.tensor([[0.0, -1.0, 0.5, -2.0], [-2.0, 0.2, 0.1, 0.3]])  # loudness of each segment
    own, other = (level.repeat_interleave(COLUMNS).expand(1, 1, 8, -1) for level in levels)
    features = levels[1:, :, None].expand(1, SEGMENTS, 3)  # one for each segment of the other audio
    made = match_envelope(own, other, features)
    assert made.shape == features.shape
    assert made[0, :, 0].tolist() == pytest.approx([0.2, 0.1, 0.3, -2.0])
    assert torch.equal(match_envelope(other, other, features), features)


def test_silence_and_noise_starts_with_silence_and_is_seeded(log_mel: LogMel) -> None:
    like = log_mel(torch.zeros(2, SAMPLES))
    torch.manual_seed(1)
    audio = silence_and_noise(like, 3)
    assert audio.shape == (3, *like.shape[1:])
    assert torch.equal(audio[0], like[0]) and (audio[0] == SILENCE).all()
    assert (audio[1:] >= SILENCE).all() and audio[1:].std() > 0.1
    torch.manual_seed(1)
    assert torch.equal(audio, silence_and_noise(like, 3))


def test_time_shifted_marks_segments_that_wrap() -> None:
    features = torch.arange(SEGMENTS, dtype=torch.float32).expand(2, SEGMENTS)[..., None]
    shifted, valid = time_shifted(features, 9)
    assert shifted.shape == (5, 2, SEGMENTS, 1) and valid.shape == (5, SEGMENTS)
    assert torch.equal(shifted[0], features) and valid[0].all()
    moments = torch.arange(SEGMENTS)
    shifts = []
    for row, shown in zip(shifted[:, 0, :, 0], valid, strict=True):
        (by,) = set((moments - row)[shown].tolist())  # one shift in all valid segments, without wrapping around
        assert shown.sum() == SEGMENTS - abs(by)
        shifts.append(int(by))
    assert shifts[0] == 0 and sorted(shifts[1:]) == [-2, -1, 1, 2]
    _, inner = time_shifted(features, 9, margin=1)
    assert inner.tolist()[0] == [False, True, True, False]
    assert sorted(inner[1:].tolist()) == [[False, False, True, False], [False, True, False, False]]
    assert time_shifted(features, 9, margin=2)[0].shape == (0, 2, SEGMENTS, 1)
    nothing, none_valid = time_shifted(features, 0)
    assert nothing.shape == (0, 2, SEGMENTS, 1) and none_valid.shape == (0, SEGMENTS)


def test_silent_segments_are_relative_to_the_loudest_segment(log_mel: LogMel) -> None:
    gain = torch.tensor([1.0, 10 ** (-18 / 20), 10 ** (-22 / 20), 0.0]).repeat_interleave(SAMPLES // SEGMENTS)
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, SAMPLES) * gain
    waveform[1] *= 0.1  # the second clip is 20 dB below the first
    audio = log_mel(waveform)
    assert silent_segments(audio, SEGMENTS).tolist() == [[False, False, True, True]] * 2
    assert not silent_segments(torch.full_like(audio, SILENCE), SEGMENTS).any()  # all segments have the same power


def test_silence_and_noise_as_waveforms() -> None:
    like = WaveformColumns(SEGMENTS)(torch.zeros(2, SAMPLES))
    torch.manual_seed(1)
    silence, *noises = silence_and_noise(like, 3)
    assert silence.shape == like.shape[1:] and not silence.any()
    for noise in noises:
        level = 20 * noise.square().mean().sqrt().log10()
        assert -90.1 <= level <= -29.9
        loud = noise[0].mT.flatten().unflatten(0, (20, -1)).square().mean(1)
        assert loud.max() < 2 * loud.min()  # steady


def test_silent_segments_of_a_waveform() -> None:
    waveform = 0.1 * torch.ones(1, SAMPLES)
    waveform[:, SAMPLES // SEGMENTS : 2 * SAMPLES // SEGMENTS] = 0.001
    assert silent_segments(WaveformColumns(SEGMENTS)(waveform), SEGMENTS).tolist() == [[False, True, False, False]]
