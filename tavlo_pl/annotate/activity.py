"""Audio-active regions of a clip: its RMS level with hysteresis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.errors import ConfigError

WINDOW_S = 0.1
"""Length of a window of the RMS level; the windows overlap by three quarters."""

HOP_S = WINDOW_S / 4

LEAST_LEVEL_DB = -70.0
"""Below this level, in dB of full scale, nothing is active: it is the noise of a silent recording."""

Span = tuple[float, float]
"""(start, end) in seconds."""


@dataclass(frozen=True)
class Activity:
    """When audio counts as active.

    Args:
        start_db: a region starts at this many dB below the loudest window of the clip, or above.
        end_db: it ends where the level is this many dB below the loudest window, or more.
        min_region_s: shorter regions are left out.
        min_gap_s: regions that are less apart are joined.

    Raises:
        ConfigError: a value is out of range.
    """

    start_db: float = 20.0
    end_db: float = 30.0
    min_region_s: float = 0.1
    min_gap_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.start_db <= self.end_db or min(self.min_region_s, self.min_gap_s) < 0:
            raise ConfigError(
                f"--activity needs 0 <= start_db <= end_db and lengths of at least 0, got start_db {self.start_db:g}, "
                f"end_db {self.end_db:g}, min_region_s {self.min_region_s:g}, min_gap_s {self.min_gap_s:g}"
            )


def level_db(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) RMS level in dB of full scale; window n is centred at n * `HOP_S` seconds.

    Args:
        waveform: (L,) in [-1, 1], 16 kHz.
    """
    hop, window = round(HOP_S * SAMPLE_RATE_HZ), round(WINDOW_S * SAMPLE_RATE_HZ)
    power = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    centres = np.arange(0, len(waveform) + 1, hop)
    first, last = np.maximum(centres - window // 2, 0), np.minimum(centres + window // 2, len(waveform))
    mean = (power[last] - power[first]) / np.maximum(last - first, 1)
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(mean, 1e-12))
    return level


def active_regions(waveform: NDArray[np.float32], activity: Activity) -> list[Span]:
    """Spans in which the audio is active, in ascending order; none in silence.

    Args:
        waveform: (L,) in [-1, 1], 16 kHz.
        activity: the thresholds.
    """
    level = level_db(waveform)
    loudest = level.max(initial=-np.inf)
    if loudest < LEAST_LEVEL_DB:
        return []
    is_open = level > max(loudest - activity.end_db, LEAST_LEVEL_DB)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_open, [False]])))
    end_s = len(waveform) / SAMPLE_RATE_HZ
    spans: list[Span] = []
    for first, after in edges.reshape(-1, 2).tolist():
        if level[first:after].max() < loudest - activity.start_db:
            continue
        span = (max(0.0, (first - 0.5) * HOP_S), min(end_s, (after - 0.5) * HOP_S))
        if spans and span[0] - spans[-1][1] < activity.min_gap_s:
            spans[-1] = (spans[-1][0], span[1])
        else:
            spans.append(span)
    return [span for span in spans if span[1] - span[0] >= activity.min_region_s]
