"""What a map does when the source is not in the picture: it should stay below the threshold everywhere.

The paper of AVATAR does not publish its threshold. A quantile of each frame would make the share a constant,
so ours is one threshold for the whole run, `universal_threshold` of the maps with a visible source.
"""

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.rows import at_least, count
from tavlo_pl.metrics.functional.upsample import Interpolation, upsampled_chunks


def true_negative_share(maps: Tensor, threshold: float, size: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """Share of each map's pixels that lie strictly below the threshold.

    Args:
        maps: (N, h, w) raw scores of frames whose source is off-screen.
        threshold: raw score.
        size: evaluation pixels a side.
        interpolation: see `upsample`.

    Returns:
        (N,) float64 in 0..1; the mean over samples is ``tn_rate``.
    """
    shares = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)
    for chunk, pixels in upsampled_chunks(maps, size, interpolation):
        above = count(at_least(pixels, pixels.new_tensor([[threshold]])))
        shares[chunk] = (size**2 - above).double() / size**2
    return shares
