"""Modules over the segments of a clip, beside the AST attention: a temporal convolution and an average of score maps.

Neither is in the paper. Both are relative in time: they depend on the distance of two segments, not on their position
in the clip, so that they accept every number of segments and do not tell a model where in the clip it is.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.mil import pool_bag
from tavlo_pl.nn.linear import Linear


class TemporalConv(nn.Module):
    """A residual convolution over the segments, the same for every token: it sees what changes.

    y_t = x_t + W_2 gelu(W_1 [n_t ; n_{t+d} - n_t for the neighbours d]),  with n = LayerNorm(x). Beyond its ends the
    clip is mirrored in time: with zeros or repeated segments, tokens would tell its first and last segment from others.

    Args:
        width: token width D.
        kernel: number of segments k, odd: the segment itself and (k - 1) / 2 neighbours on each side.

    Raises:
        ConfigError: the kernel is even or not positive.
    """

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"model.attention.temporal_kernel is {kernel}; it must be odd, or 0 for no convolution")
        self.reach = kernel // 2
        self.norm = nn.LayerNorm(width)
        self.expand = Linear(kernel * width, width)
        self.out = Linear(width, width)
        nn.init.normal_(self.expand.weight, std=0.5 / math.sqrt(kernel * width))
        nn.init.zeros_(self.expand.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) to the same shape."""
        segments = tokens.shape[1]
        own = self.norm(tokens)
        moments = torch.arange(segments, device=tokens.device)
        changes = (own[:, mirrored(moments + by, segments)] - own for by in range(-self.reach, self.reach + 1) if by)
        update: Tensor = self.out(gelu(self.expand(torch.cat([own, *changes], dim=-1))))
        return tokens + update


def mirrored(moments: Tensor, segments: int) -> Tensor:
    """Positions of segments, reflected at the first and the last one; the only segment where there is one."""
    period = torch.full_like(moments, 2 * (segments - 1)).clamp(min=1)  # a tensor: exported models take every number
    folded = moments.remainder(period)
    return torch.minimum(folded, period - folded)


class TemporalAverage(nn.Module):
    """Averages score maps over time: moments around a segment help to find its source.

    With S_u the cosines at segment u (equation 4 of the paper) and p the smooth maximum of a map, that of segment t is

        A_t + (p(S_t) - p(A_t)) / 2,    A_t = Σ_u w_tu S_u,
        w_t = softmax_u(-γ_past max(t - u, 0) - γ_future max(u - t, 0)).

    At a moment at which nothing in the frame tells the source, its place comes from moments at which it moved with its
    sound. The level of a map is half that of its own segment, so that a silent segment between loud ones has a low map.
    Weights that depend on the audio were worse (docs/research.md). Nothing is learned: training compares the segments'
    own maps, and the average is applied in evaluation alone.

    Args:
        decay: γ_past and γ_future, per segment.

    Raises:
        ConfigError: one of them is not positive.
    """

    def __init__(self, decay: tuple[float, float]) -> None:
        super().__init__()
        if min(decay) <= 0:
            raise ConfigError(f"model.attention.temporal_average is {list(decay)}; both numbers must be positive")
        self.past, self.future = decay

    def weights(self, segments: int) -> Tensor:
        """(T, T) weights of all segments (column) in the map of each (row); rows sum to 1."""
        moments = torch.arange(segments, dtype=torch.float32)
        ago = moments[:, None] - moments[None]  # t - u
        return (-self.past * ago.clamp(min=0) - self.future * (-ago).clamp(min=0)).softmax(-1)

    def forward(self, scores: Tensor) -> Tensor:
        """(B, T, HW) cosines to the same shape, in [-1, 1]."""
        average = self.weights(scores.shape[1]).to(scores) @ scores
        peaks = pool_bag(scores, "smooth_max") - pool_bag(average, "smooth_max")
        return (average + peaks[..., None] / 2).clamp(-1, 1)
