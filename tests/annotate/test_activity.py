"""Audio-active regions."""

import numpy as np
import pytest

from tavlo_pl.annotate.activity import Activity, active_regions, level_db
from tavlo_pl.errors import ConfigError

RATE = 16_000


def tone(*parts: tuple[float, float]) -> np.ndarray:
    """A tone whose amplitude is constant in each (seconds, amplitude)."""
    gain = np.concatenate([np.full(round(seconds * RATE), amplitude) for seconds, amplitude in parts])
    return (gain * np.sin(np.arange(len(gain)))).astype(np.float32)


def test_level_is_the_rms_in_decibels() -> None:
    level = level_db(tone((1.0, 0.5)))
    assert len(level) == 41
    assert level[5:-5] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)


def test_regions_have_hysteresis() -> None:
    wave = tone((0.5, 0.0), (0.5, 0.5), (0.5, 0.03), (0.5, 0.0), (0.5, 0.03), (0.5, 0.0))
    # 0.03 is 24 dB below the loudest: it keeps a region open and does not start one
    ((start_s, end_s),) = active_regions(wave, Activity(20, 30, 0.1, 0.2))
    assert (start_s, end_s) == pytest.approx((0.5, 1.5), abs=0.06)
    assert len(active_regions(wave, Activity(25, 30, 0.1, 0.2))) == 2
    ((start_s, end_s),) = active_regions(wave, Activity(20, 20, 0.1, 0.2))
    assert end_s == pytest.approx(1.0, abs=0.06)


def test_near_regions_are_joined_and_short_ones_left_out() -> None:
    wave = tone((0.4, 0.5), (0.3, 0.0), (0.4, 0.5), (0.8, 0.0), (0.02, 0.5), (0.5, 0.0))
    assert len(active_regions(wave, Activity(20, 30, 0.0, 0.0))) == 3
    assert len(active_regions(wave, Activity(20, 30, 0.0, 0.4))) == 2
    assert len(active_regions(wave, Activity(20, 30, 0.2, 0.4))) == 1


def test_silence_has_no_region() -> None:
    assert active_regions(tone((1.0, 0.0)), Activity()) == []
    assert active_regions(tone((1.0, 1e-4)), Activity()) == []
    assert active_regions(np.zeros(0, np.float32), Activity()) == []


def test_thresholds_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="start_db 30, end_db 20"):
        Activity(30, 20)
