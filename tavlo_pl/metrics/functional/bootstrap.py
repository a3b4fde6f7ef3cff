"""Bootstrap intervals of means, resampled by video, because the frames of a video are not independent."""

import numpy as np

LEVEL = 0.95


def bootstrap_interval(
    values: np.ndarray, clip: np.ndarray, weight: np.ndarray | None = None, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """95 % percentile interval of the mean when videos are resampled with replacement.

    All resamples are one matrix product of (resample, video) draw counts with per-video sums. It uses einsum, because
    the last digit of a BLAS product depends on the number of threads.

    Args:
        values: (N, K) float64, K figures of each sample.
        clip: (N,) int64, the video of each sample.
        weight: (N,) float64, weights of the samples in the mean; None for equal weights.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        (2, K) float64, low and high. With one video both are its mean.
    """
    video, times = video_draws(clip, resamples, seed)
    size = np.bincount(video, weight).astype(np.float64)
    weighted = values if weight is None else values * weight[:, None]
    sums = np.einsum("rv,vk->rk", times, sum_by_video(weighted, video))
    means = sums / np.einsum("rv,v->r", times, size)[:, None]
    return interval_of(means)


def video_draws(clip: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws the videos of each resample.

    Args:
        clip: (N,) int64, the video of each sample.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        (N,) int64, the video of each sample as a number 0..V-1, and (resamples, V) float64, how often each video was
        drawn.
    """
    videos, video = np.unique(clip, return_inverse=True)
    draws = np.random.default_rng(seed).integers(len(videos), size=(resamples, len(videos)))
    draws += np.arange(resamples)[:, None] * len(videos)
    return video, np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape).astype(np.float64)


def sum_by_video(values: np.ndarray, video: np.ndarray) -> np.ndarray:
    """(V, K) float64 sums of (N, K) values over the samples of each video 0..V-1."""
    order = np.argsort(video, kind="stable")
    starts = np.searchsorted(video[order], np.arange(video.max() + 1))
    return np.add.reduceat(values[order].astype(np.float64), starts, axis=0)


def interval_of(resampled: np.ndarray) -> np.ndarray:
    """(2, ...) low and high of the 95 % percentile interval of (resamples, ...) figures."""
    interval: np.ndarray = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return interval
