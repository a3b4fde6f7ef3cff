"""How far a mean could have come out otherwise: a bootstrap by video, for its frames are not independent."""

import numpy as np

LEVEL = 0.95


def bootstrap_interval(values: np.ndarray, clip: np.ndarray, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """95 % percentile interval of the mean when videos are drawn anew with replacement.

    All resamples are one matrix product of (resample, video) draw counts with per-video sums. einsum and not
    the BLAS product, whose last digit depends on the number of threads.

    Args:
        values: (N, K) float64, K figures of each sample.
        clip: (N,) int64, the video of each sample.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        (2, K) float64, low and high. With one video both are its mean.
    """
    videos, video = np.unique(clip, return_inverse=True)
    total = np.zeros((len(videos), values.shape[1]))
    np.add.at(total, video, values)
    size = np.bincount(video).astype(np.float64)
    draws = np.random.default_rng(seed).integers(len(videos), size=(resamples, len(videos)))
    draws += np.arange(resamples)[:, None] * len(videos)
    times = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape).astype(np.float64)
    means = np.einsum("rv,vk->rk", times, total) / np.einsum("rv,v->r", times, size)[:, None]
    return np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
