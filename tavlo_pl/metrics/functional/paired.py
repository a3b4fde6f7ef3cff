"""Paired bootstrap by video: which of two runs is better on the same samples.

Samples differ more in difficulty than two runs differ on one sample, so the interval of the mean difference is much
narrower than those of the two means.
"""

from typing import Literal, NamedTuple

import numpy as np

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval

Verdict = Literal["higher", "lower", "no difference shown", "one video tells nothing"]


class PairedDifference(NamedTuple):
    """Difference of two runs in one figure.

    Attributes:
        samples: number of samples that both were tested on.
        clips: number of their videos.
        first: mean of the first run.
        second: mean of the second run.
        difference: second minus first.
        low: lower end of the 95 % interval of the difference.
        high: its upper end.
    """

    samples: int
    clips: int
    first: float
    second: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the second run is better, worse, or not distinguishable; needs more than one video."""
        if self.clips < 2:
            return "one video tells nothing"
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


def paired_differences(first: np.ndarray, second: np.ndarray, clip: np.ndarray) -> list[PairedDifference]:
    """Compares two runs sample by sample.

    Args:
        first: (N, K) float64, K figures of each of N samples, N > 0.
        second: (N, K), the same of the other run, in the same order.
        clip: (N,), the video of each sample.

    Returns:
        one for each of the K figures.
    """
    clips = len(np.unique(clip))
    difference = second - first
    ends = bootstrap_interval(difference, clip)
    columns = zip(first.mean(0), second.mean(0), difference.mean(0), *ends, strict=True)
    return [PairedDifference(len(clip), clips, *map(float, column)) for column in columns]
