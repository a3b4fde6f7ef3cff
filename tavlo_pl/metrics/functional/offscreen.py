"""Metrics of frames whose source is off-screen, where a map should be below the threshold everywhere.

The AVATAR paper does not state its threshold. A quantile of each frame would make the share constant; here it is one
threshold for the whole run, `universal_threshold` of the maps with a visible source.

pIA (vssl_eval) is the share at or above this threshold in frames with a visible source whose audio was replaced by
silence, white noise or the audio of another clip. A model that uses the audio is near 0.
"""

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.functional._numpy_kernels import at_least, count
from tavlo_pl.metrics.functional.upsample import for_each_chunk
from tavlo_pl.metrics.protocols import Interpolation, Size


def true_negative_share(
    maps: Tensor, threshold: float, size: Size, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Share of each map's pixels that lie strictly below the threshold.

    Args:
        maps: (N, h, w) raw scores of frames whose source is off-screen.
        threshold: raw score.
        size: (height, width) of the evaluation in pixels.
        interpolation: see `upsample`.

    Returns:
        (N,) float64 in 0..1; the mean over samples is ``tn_rate``.
    """
    shares = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)

    def share(chunk: slice, pixels: Tensor) -> None:
        above = count(at_least(pixels, pixels.new_tensor([[threshold]])))
        shares[chunk] = (pixels.shape[1] - above).double() / pixels.shape[1]

    for_each_chunk(share, maps, size, interpolation)
    return shares


def pia(maps: Tensor, threshold: float, size: Size, interpolation: Interpolation = "bilinear") -> Tensor:
    """Share of each map's pixels at or above the universal threshold.

    Args:
        maps: (N, h, w) raw scores of frames with a visible source under silence, noise or mismatched audio.
        threshold: the universal threshold of the maps for matched audio.
        size: (height, width) of the evaluation in pixels.
        interpolation: see `upsample`.

    Returns:
        (N,) float64 in 0..1.
    """
    return 1 - true_negative_share(maps, threshold, size, interpolation)


def pia_auc(values: np.ndarray) -> float:
    """Area under the share of samples with pIA <= t over t = 0, 0.05, ..., 1: 1 if no pixel reaches the threshold."""
    dark = [np.count_nonzero(values <= 0.05 * step) for step in range(21)]
    return float((2 * sum(dark) - dark[0] - dark[-1]) / (40 * len(values)))
