"""Made-up sounds agree with what the same change of the waveform does to its spectrogram."""

import math

import pytest
import torch

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.nn.negatives import match_envelope, mix, quiet, shift, silent
from tavlo_pl.types import SILENCE

SEGMENTS, COLUMNS, SAMPLES = 4, 20, 16_000


@pytest.fixture
def log_mel() -> LogMel:
    return LogMel(SEGMENTS, COLUMNS, 32)


def test_shift_is_a_shift_of_the_waveform(log_mel: LogMel) -> None:
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(1, SAMPLES)
    moved = log_mel(waveform.roll(SAMPLES // SEGMENTS, -1))
    inner = slice(COLUMNS + 2, -2)  # at the seam, windows see both ends of the clip
    assert torch.allclose(shift(log_mel(waveform), SEGMENTS, 1)[..., inner], moved[..., inner], atol=1e-3)


def test_rhythm_is_taken_over_and_the_segments_are_only_rearranged() -> None:
    levels = torch.tensor([[0.0, -1.0, 0.5, -2.0], [-2.0, 0.2, 0.1, 0.3]])  # loudness of each segment
    own, other = (level.repeat_interleave(COLUMNS).expand(1, 1, 8, -1) for level in levels)
    features = levels[1:, :, None].expand(1, SEGMENTS, 3)  # of each segment of the other
    made = match_envelope(own, other, features)
    assert made.shape == features.shape
    assert made[0, :, 0].tolist() == pytest.approx([0.2, 0.1, 0.3, -2.0])
    assert torch.equal(match_envelope(other, other, features), features)


def test_mix_is_a_sum_of_waveforms(log_mel: LogMel) -> None:
    time_s = torch.arange(SAMPLES)[None] / SAMPLES
    low, high = 0.1 * torch.sin(2 * math.pi * 440 * time_s), 0.02 * torch.sin(2 * math.pi * 3000 * time_s)
    both = log_mel(low + high)
    heard = both > 0  # elsewhere both are faint, and waves may cancel
    assert heard.any(dim=-1).sum() >= 2
    assert torch.allclose(mix(log_mel(low), log_mel(high))[heard], both[heard], atol=0.05)
    near_silence = -1.8  # below it, two silences add up to one 3 dB louder
    alone = mix(log_mel(low), log_mel(0 * low)).clamp(min=near_silence)
    assert torch.allclose(alone, log_mel(low).clamp(min=near_silence), atol=0.05)


def test_quiet_sounds_begin_with_silence_and_are_drawn_by_the_generator(log_mel: LogMel) -> None:
    like = log_mel(torch.zeros(2, SAMPLES))
    sounds = quiet(like, 3, torch.Generator().manual_seed(1))
    assert sounds.shape == (3, *like.shape[1:])
    assert torch.equal(sounds[0], like[0]) and (sounds[0] == SILENCE).all()
    assert (sounds[1:] >= SILENCE).all() and sounds[1:].std() > 0.1
    assert torch.equal(sounds, quiet(like, 3, torch.Generator().manual_seed(1)))


def test_silent_is_what_lies_far_below_the_clips_own_loudest_segment(log_mel: LogMel) -> None:
    gain = torch.tensor([1.0, 10 ** (-18 / 20), 10 ** (-22 / 20), 0.0]).repeat_interleave(SAMPLES // SEGMENTS)
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, SAMPLES) * gain
    waveform[1] *= 0.1  # the second clip is softer throughout
    heard = log_mel(waveform)
    assert silent(heard, SEGMENTS).tolist() == [[False, False, True, True]] * 2
    assert not silent(torch.full_like(heard, SILENCE), SEGMENTS).any()  # nothing is louder than the rest
