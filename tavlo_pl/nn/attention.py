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

from tavlo_pl.nn.linear import Linear, project

Among = Literal["spatial", "temporal", "joint"]
Reach = Literal["factorised"] | Among


class SelfAttention(nn.Module):
    """Multi-head self-attention among the tokens of a segment, the moments of a token, or all of them.

    Queries, keys and values are projected apart: each is then a view that attention takes as it is, whichever tokens
    see each other, where views of one product would have to be copied, or their gradients would.

    Args:
        width: D, a multiple of ``heads``.
        heads: number of heads.
        among: who sees whom: ``spatial`` the S tokens of one segment, ``temporal`` the T moments of one token,
            ``joint`` all T x S tokens of a clip.
    """

    def __init__(self, width: int, heads: int, among: Among) -> None:
        super().__init__()
        self.heads = heads
        self.among: Among = among
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(self, tokens: Tensor, scale: Tensor | None = None) -> Tensor:
        """(B, T, S, D) to the same shape.

        Args:
            tokens: all tokens of B clips.
            scale: (D,) factor of the outputs.
        """
        query, key, value = (as_sets(part, self.heads, self.among) for part in self._project(tokens, 3))
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2)
        out: Tensor = self.out(mixed.reshape(tokens.shape), scale)
        return out

    def weights(self, tokens: Tensor) -> Tensor:
        """How much each token (row) takes from each (column), mean over the heads.

        Args:
            tokens: (B, T, S, D).

        Returns:
            (BT, 1, S, S) of spatial attention, (B, S, T, T) of temporal, (B, 1, TS, TS) of joint.
        """
        query, key = (as_sets(part, self.heads, self.among) for part in self._project(tokens, 2))
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        return weights.unflatten(1, (-1, self.heads)).mean(2)

    def _project(self, tokens: Tensor, parts: int) -> list[Tensor]:
        """The first of queries, keys and values, (B, T, S, D) each."""
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        return [project(tokens, weights[part], biases[part]) for part in range(parts)]


def as_sets(tokens: Tensor, heads: int, among: Among) -> Tensor:
    """(B, T, S, D) to (sets, heads, seen, D / heads), a view; over time, each token is a few heads more."""
    b, t, s, d = tokens.shape
    sets, seen, count = {
        "spatial": (b * t, s, heads),
        "temporal": (b, t, s * heads),
        "joint": (b, t * s, heads),
    }[among]
    return tokens.view(sets, seen, count, d // heads).transpose(1, 2)


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
        steps: tuple[Among, ...] = ("spatial", "temporal") if reach == "factorised" else (reach,)
        self.attention = nn.ModuleDict({step: SelfAttention(width, heads, step) for step in steps})
        self.norm = nn.ModuleDict({step: nn.LayerNorm(width) for step in (*steps, "mlp")})
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(Linear(width, hidden), nn.GELU(), Linear(hidden, width))
        self.scale = nn.ParameterDict(
            {} if layer_scale is None else {step: torch.full((width,), layer_scale) for step in (*steps, "mlp")}
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) to the same shape."""
        for step, attention in self.attention.items():
            tokens = tokens + attention(self.norm[step](tokens), self._factor(step))
        widen, bend, narrow = self.mlp
        return tokens + narrow(bend(widen(self.norm["mlp"](tokens))), self._factor("mlp"))

    def _factor(self, step: str) -> Tensor | None:
        return self.scale[step] if len(self.scale) else None
