"""The Audio-Spatial-Temporal (AST) attention block of TAVLO (arXiv 2507.04667, section 3.3).

Tokens are (B, T, 1 + HW, D): for each segment its audio token first, then the cells of its frame. Spatial attention
runs over the 1 + HW tokens of one frame, temporal attention over the T moments of each token. The paper leaves norm,
heads and MLP open; ours are pre-norm with residuals (Xiong et al., arXiv 2002.04745).

Deviation: with ``audio_visual_link=False`` the audio token and the cells of its frame do not see each other in
spatial attention. With the link, as published, every cell can copy its own clip's audio token, and the contrastive
loss reaches zero without localising anything (docs/method.md).

Deviation: ``layer_scale`` multiplies every residual branch by a learned factor a channel that starts small (LayerScale,
Touvron et al., arXiv 2103.17239). Attention then refines what the encoders see instead of blurring it from the start.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


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
        n, s, d = tokens.shape
        q, k, v = self.qkv(tokens).view(n, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # (N, heads, S, d)
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, s, d)
        out: Tensor = self.out(mixed)
        return out


class ASTBlock(nn.Module):
    """Spatial attention, temporal attention, MLP; each pre-norm with a residual.

    Args:
        width: D.
        heads: attention heads.
        mlp_ratio: width of the MLP's hidden layer as a multiple of D.
        audio_visual_link: whether audio and visual tokens see each other in spatial attention (True as published).
        layer_scale: initial factor of the residual branches; None leaves it out (as published).
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        audio_visual_link: bool = False,
        layer_scale: float | None = 0.1,
    ) -> None:
        super().__init__()
        self.audio_visual_link = audio_visual_link
        self.spatial_norm, self.temporal_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.spatial, self.temporal = SelfAttention(width, heads), SelfAttention(width, heads)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.scale = None if layer_scale is None else nn.Parameter(torch.full((3, width), layer_scale))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, 1 + HW, D) to the same shape."""
        b, t, s, d = tokens.shape
        flat = self.spatial_norm(tokens).view(b * t, s, d)
        if self.audio_visual_link:
            mixed = self.spatial(flat)
        else:
            mixed = torch.cat([self.spatial(flat[:, :1]), self.spatial(flat[:, 1:])], dim=1)
        spatial_scale, temporal_scale, mlp_scale = (1.0, 1.0, 1.0) if self.scale is None else self.scale
        tokens = tokens + spatial_scale * mixed.view(b, t, s, d)
        through_time = self.temporal_norm(tokens).transpose(1, 2).reshape(b * s, t, d)
        tokens = tokens + temporal_scale * self.temporal(through_time).view(b, s, t, d).transpose(1, 2)
        out: Tensor = tokens + mlp_scale * self.mlp(self.mlp_norm(tokens))
        return out
