"""The Audio-Spatial-Temporal (AST) attention block of TAVLO (arXiv 2507.04667, section 3.3).

Tokens are (B, T, S, D): S tokens for each of T segments. Spatial attention runs over the S tokens of one segment,
temporal attention over the T moments of each token. Whoever calls the block decides who meets: with S = 1 + HW, the
audio token first and then the cells of its frame, sound and picture meet in spatial attention, as published; given one
after the other to the same block, they do not (``models/tavlo.py``, docs/method.md). The paper leaves norm, heads and
MLP open; ours are pre-norm with residuals (Xiong et al., arXiv 2002.04745).

Deviation: ``layer_scale`` multiplies every residual branch by a learned factor a channel that starts small (LayerScale,
Touvron et al., arXiv 2103.17239). Attention then refines what the encoders see instead of blurring it from the start.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

Reach = Literal["factorised", "spatial", "temporal", "joint"]


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: D, a multiple of ``heads``.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, S, D) to (N, S, D): every one of the S tokens sees all S."""
        mixed = scaled_dot_product_attention(*self._split(tokens)).transpose(1, 2).flatten(2)
        out: Tensor = self.out(mixed)
        return out

    def weights(self, tokens: Tensor) -> Tensor:
        """(N, S, D) to (N, S, S): how much each token (row) takes from each (column), averaged over the heads."""
        query, key, _ = self._split(tokens)
        return (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(1)

    def _split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (N, heads, S, D / heads) each."""
        n, s, d = tokens.shape
        query, key, value = self.qkv(tokens).view(n, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return query, key, value


class ASTBlock(nn.Module):
    """Spatial attention, temporal attention, MLP; each pre-norm with a residual.

    Args:
        width: D.
        heads: attention heads.
        mlp_ratio: width of the MLP's hidden layer as a multiple of D.
        layer_scale: initial factor of the residual branches; None leaves it out (as published).
        reach: ``factorised`` (as published) has spatial and then temporal attention, ``spatial`` and ``temporal`` one
            of the two, ``joint`` one attention over all T x S tokens of a clip.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        layer_scale: float | None = 0.1,
        reach: Reach = "factorised",
    ) -> None:
        super().__init__()
        self.reach: Reach = reach
        steps = ("spatial", "temporal") if reach == "factorised" else (reach,)
        self.attention = nn.ModuleDict({step: SelfAttention(width, heads) for step in steps})
        self.norm = nn.ModuleDict({step: nn.LayerNorm(width) for step in (*steps, "mlp")})
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.scale = nn.ParameterDict(
            {} if layer_scale is None else {step: torch.full((width,), layer_scale) for step in (*steps, "mlp")}
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) to the same shape."""
        for step, attention in self.attention.items():
            sets = _sets(self.norm[step](tokens), step)
            tokens = tokens + self._scaled(step, _unsets(attention(sets), step, tokens.shape))
        return tokens + self._scaled("mlp", self.mlp(self.norm["mlp"](tokens)))

    def _scaled(self, step: str, branch: Tensor) -> Tensor:
        return branch * self.scale[step] if step in self.scale else branch


def _sets(tokens: Tensor, step: str) -> Tensor:
    """(B, T, S, D) to the sets of tokens that see each other: (BT, S, D), (BS, T, D) or (B, TS, D)."""
    if step == "spatial":
        return tokens.flatten(0, 1)
    if step == "temporal":
        return tokens.transpose(1, 2).flatten(0, 1)
    return tokens.flatten(1, 2)


def _unsets(sets: Tensor, step: str, shape: torch.Size) -> Tensor:
    """Back to (B, T, S, D)."""
    b, t, s, d = shape
    if step == "temporal":
        return sets.view(b, s, t, d).transpose(1, 2)
    return sets.view(b, t, s, d)
