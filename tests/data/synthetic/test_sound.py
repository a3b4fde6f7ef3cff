"""Voices: loud enough, different from one another by timbre and not by one frequency."""

import numpy as np
import pytest

from tavlo_pl.data.synthetic.sound import SAMPLE_RATE_HZ, VOICES, loudness, reverberate


@pytest.mark.parametrize("name", VOICES)
def test_a_voice_sounds_and_follows_its_seed(name: str) -> None:
    played = VOICES[name](SAMPLE_RATE_HZ, np.random.default_rng(3))
    assert played.shape == (SAMPLE_RATE_HZ,) and np.isfinite(played).all()
    assert np.sqrt((played**2).mean()) > 0.01
    assert np.array_equal(played, VOICES[name](SAMPLE_RATE_HZ, np.random.default_rng(3)))
    assert not np.array_equal(played, VOICES[name](SAMPLE_RATE_HZ, np.random.default_rng(4)))


def test_no_single_frequency_names_a_class() -> None:
    """Telling the class by the loudest frequency alone goes wrong most of the time."""
    peaks = {
        (name, seed): float(np.argmax(np.abs(np.fft.rfft(voice(SAMPLE_RATE_HZ, np.random.default_rng(seed))))))
        for name, voice in VOICES.items()
        for seed in range(12)
    }
    right = 0
    for key, peak in peaks.items():
        nearest = min((k for k in peaks if k != key), key=lambda k: abs(np.log((peaks[k] + 1) / (peak + 1))))
        right += nearest[0] == key[0]
    assert right / len(peaks) < 0.5


def test_loudness_rises_at_once_and_falls_slowly() -> None:
    burst = np.zeros(SAMPLE_RATE_HZ)
    burst[4000:8000] = 0.5
    needle = loudness(burst, np.array([0.1, 0.3, 0.49, 0.65, 0.95]), release_s=0.15)
    assert needle[0] == pytest.approx(0) and needle[1] == pytest.approx(1) and needle[2] == pytest.approx(1)
    assert needle[3] == pytest.approx(np.exp(-1), abs=0.05)
    assert needle[4] < 0.1


def test_reverberation_adds_a_tail_only() -> None:
    click = np.zeros(8000)
    click[2000] = 1
    wet = reverberate(click, decay_s=0.2, wet=0.5, rng=np.random.default_rng(0))
    assert np.abs(wet[:1999]).max() < 1e-9
    assert np.abs(wet[2100:3000]).max() > 1e-3
    assert np.abs(wet[5300:]).max() < 1e-4
