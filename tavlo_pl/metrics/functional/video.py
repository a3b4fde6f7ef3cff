"""Metrics over time: share of time with the peak on the source, delay after a switch, stability in silence.

They are defined here, not in a paper. All use the annotated frames of a clip, so their resolution in time is that of
the annotations.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional._numpy_kernels import at_least, count, count_both, limits
from tavlo_pl.metrics.functional.bootstrap import sum_by_video


def peak_on_source(scores: Tensor, truth: Tensor) -> Tensor:
    """Share of the highest pixels of a map that are on the source; for a constant map, the share of the source.

    Args:
        scores: (N, P) raw scores, or (1, P) for one map that all samples share.
        truth: (N, P) bool, or weights, where any weight above 0 is source.

    Returns:
        (N,) float64 in 0..1, mostly 0 or 1.
    """
    _, highest = limits(scores)
    peak = at_least(scores, highest[:, None]).expand(len(truth), -1)
    source = truth if truth.dtype == torch.bool else truth > 0
    return count_both(peak, source).double() / count(peak)


def share_of_clip(values: np.ndarray, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the annotated frames of each clip; of `peak_on_source`, the share of time on the source.

    Args:
        values: (N, K) float64.
        clip: (N,) int64.

    Returns:
        (V,) the clips, ascending, and (V, K) their means.
    """
    clips, group = np.unique(clip, return_inverse=True)
    return clips, sum_by_video(values, group) / np.bincount(group)[:, None]


def switches(clip: np.ndarray, time_s: np.ndarray, category: np.ndarray) -> list[list[np.ndarray]]:
    """The changes of source in cross-event clips.

    The sounding categories at a time are those of all its samples. A switch is a time that shares no category with the
    time before.

    Args:
        clip: (N,) int64, of on-screen samples.
        time_s: (N,) float64 seconds, the moment of each sample.
        category: (N,) strings, categories joined by ``+``.

    Returns:
        For each switch, in order of clip and time, the annotated times of the new source until the sounding categories
        change again; each time is an array of samples.
    """
    found: list[list[np.ndarray]] = []
    order = np.lexsort((time_s, clip))
    new_moment = (np.diff(clip[order]) != 0) | (np.diff(time_s[order]) != 0)
    last_clip, last_sounding, following = None, set[str](), False
    for moment in np.split(order, np.flatnonzero(new_moment) + 1) if len(order) else ():
        sounding = {name for joined in category[moment] for name in joined.split("+")}
        if clip[moment[0]] != last_clip:
            following = False
        elif not sounding & last_sounding:
            found.append([moment])
            following = True
        elif following and sounding == last_sounding:
            found[-1].append(moment)
        else:
            following = False
        last_clip, last_sounding = clip[moment[0]], sounding
    return found


def delays(found: list[list[np.ndarray]], time_s: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Delay after each switch until the peak is first on the new source.

    Args:
        found: M switches, see `switches`.
        time_s: (N,) float64 seconds.
        hit: (N,) float64, `peak_on_source`.

    Returns:
        (M,) float64 seconds since the first moment of the new source, and (M,) bool, whether the peak reached it. Where
        it did not, the delay is censored: it is longer than the time until the last annotated frame of the source.
    """
    waited, followed = np.zeros(len(found)), np.zeros(len(found), bool)
    for m, moments in enumerate(found):
        came = [moment for moment in moments if hit[moment].max() > 0.5]
        followed[m] = bool(came)
        end = came[0] if came else moments[-1]
        waited[m] = time_s[end[0]] - time_s[moments[0][0]]
    return waited, followed


def median_delay(waited: np.ndarray, followed: np.ndarray) -> float | None:
    """Median of partly censored delays (Kaplan and Meier, 1958).

    Args:
        waited: (M,) float64 seconds.
        followed: (M,) bool, False where the delay is censored.

    Returns:
        Seconds, or None if fewer than half of the switches were followed.
    """
    waiting = 1.0
    for time_s in np.unique(waited[followed]):
        waiting *= 1 - np.count_nonzero(followed & (waited == time_s)) / np.count_nonzero(waited >= time_s)
        if waiting <= 0.5:
            return float(time_s)
    return None


def delay_figures(found: list[list[np.ndarray]], time_s: np.ndarray, hit: np.ndarray) -> dict[str, Any]:
    """``switches``, their number, at least 1; ``followed``, the share that the peak followed; ``median_s``, the delay.

    Args:
        found: see `switches`.
        time_s: (N,) float64 seconds.
        hit: (N,) float64, `peak_on_source`.
    """
    waited, followed = delays(found, time_s, hit)
    return {
        "switches": len(found),
        "followed": float(followed.mean()),
        "median_s": median_delay(waited, followed),
    }


def silent_pairs(clip: np.ndarray, time_s: np.ndarray, silent: np.ndarray) -> np.ndarray:
    """(M, 2) pairs of consecutive samples of a clip, both without a visible source.

    Args:
        clip: (N,) int64 of all samples.
        time_s: (N,) float64 seconds.
        silent: (N,) bool.
    """
    order = np.lexsort((time_s, clip))
    first, second = order[:-1], order[1:]
    kept = (clip[first] == clip[second]) & (time_s[first] < time_s[second]) & silent[first] & silent[second]
    return np.stack([first[kept], second[kept]], 1)


def stability(first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """Share of pixels that stay above or below the threshold from one annotated frame to the next.

    Args:
        first: (M, P) raw scores.
        second: (M, P) raw scores of the next annotated frames.
        threshold: the run's universal threshold.

    Returns:
        (M,) float64 in 0..1; 1 for maps that do not change.
    """
    limit = first.new_tensor([[threshold]])
    before, after = at_least(first, limit), at_least(second, limit)
    return 1 - (count(before) + count(after) - 2 * count_both(before, after)).double() / first.shape[1]
