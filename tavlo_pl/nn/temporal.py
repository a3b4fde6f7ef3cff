"""Modules over the segments of a clip, beside the AST attention: a temporal convolution and temporal score attention.

Neither is in the paper. Both are relative in time: they depend on the distance of two segments, not on their position
in the clip, so that they accept every number of segments and do not tell a model where in the clip it is.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from tavlo_pl.errors import ConfigError
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
    period = max(1, 2 * (segments - 1))
    folded = moments.remainder(period)
    return torch.minimum(folded, period - folded)


class ScoreAttention(nn.Module):
    """Temporal attention over score maps: the audio of a segment chooses the segments whose maps it is localized by.

    The attended map of segment t is Σ_u w_tu S_u, where S_u are the cosines at segment u (equation 4 of the paper) and

        w_t = softmax_u(β cos(W_q a_t, W_k a_u) - γ_past max(t - u, 0) - γ_future max(u - t, 0)).

    At a moment at which nothing in the frame tells the source, it comes from the moments at which the same sound was
    heard and its source was visible and moving. The weights depend on the audio alone, so that the map of mismatched
    audio is computed from the same visual tokens, and a cell is compared with the whole course of the audio: one of
    several equal objects is found by its motion. Objects move, so the model's map is the mean of the attended map and
    of the segment's own one, which is more precise (`models.tavlo.TAVLO.localize`); the attention is trained by the
    term of the objective that compares time-shifted audio (`losses.objective.MILObjective.time_shifted`).

    Args:
        width: token width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        for layer in (self.query, self.key):  # at first, segments attend to those of similar audio
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.sharpness = nn.Parameter(torch.tensor(6.0))
        self.distance = nn.Parameter(torch.tensor([0.3, 0.3]))  # past, future; per segment

    def forward(self, audio: Tensor, valid: Tensor | None = None) -> Tensor:
        """Attention weights of each segment (row) over all segments (column).

        Args:
            audio: (..., T, D) audio tokens.
            valid: (..., T) bool, segments that may be attended to; by default all.

        Returns:
            (..., T, T) float32; rows sum to 1.
        """
        segments = audio.shape[-2]
        with torch.autocast(audio.device.type, enabled=False):
            tokens = audio.float()
            query, key = (normalize(layer(tokens), dim=-1) for layer in (self.query, self.key))
            moments = torch.arange(segments, device=audio.device, dtype=torch.float32)
            ago = moments[:, None] - moments[None]  # t - u
            penalty = self.distance[0] * ago.clamp(min=0) + self.distance[1] * (-ago).clamp(min=0)
            logits = self.sharpness * query @ key.mT - penalty
            if valid is not None:
                logits = logits.masked_fill(~valid[..., None, :], -1e4)
            return logits.softmax(-1)
