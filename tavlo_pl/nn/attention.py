"""The Audio-Spatial-Temporal (AST) attention of TAVLO (arXiv 2507.04667, section 3.3).

Tokens are (B, T, S, D): S tokens for each of T segments. Spatial attention runs over the S tokens of one segment,
temporal attention over the T segments of each token. The paper leaves normalisation, heads and MLP open; these blocks
are pre-norm with residuals (Xiong et al., arXiv 2002.04745).

Deviation: ``layer_scale`` multiplies every residual branch by a learned factor per channel with a small initial value
(LayerScale, Touvron et al., arXiv 2103.17239), so that a block starts close to the identity.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.checkpointing import checkpointed
from tavlo_pl.nn.linear import Linear, project
from tavlo_pl.nn.positions import PositionKind, SpatialEncoding, TemporalEncoding

Axis = Literal["spatial", "temporal", "joint"]
AttentionType = Literal["factorised"] | Axis


@dataclass(frozen=True)
class AttentionConfig:
    """Options of the AST attention; the defaults are the recommended configuration.

    Args:
        num_layers: number of AST blocks L; with 0, the encoders' features are compared without attention and Pos_t.
        num_heads: attention heads; ``width + temporal_width`` must be a multiple.
        mlp_ratio: hidden width of the MLPs as a multiple of the token width D.
        type: ``factorised`` (as published) is spatial and then temporal attention, ``spatial`` and ``temporal`` one of
            the two, ``joint`` one attention over all T x S tokens of a clip.
        cross_modal: whether audio and visual tokens attend to each other. True is the published form, whose loss can
            be minimised without using the audio (docs/method.md); False gives each modality its own attention, with
            shared weights.
        layer_scale: initial factor of the residual branches; None disables it (as published).
        positions: ``sinusoidal`` or ``learned`` encodings, or ``none``.
        temporal_width: D_t of the temporal encoding Pos_t, which is concatenated; 0 disables it.
        temporal_kernel: segments that a convolution before the blocks spans (`nn.temporal.TemporalConv`); 0 disables it
            (as published).
        temporal_average: decay per segment, toward the past and the future, of the weights by which score maps are
            averaged over time in evaluation (`nn.temporal.TemporalAverage`); None disables it (as published).
    """

    num_layers: int = 0
    num_heads: int = 8
    mlp_ratio: float = 2.0
    type: AttentionType = "factorised"
    cross_modal: bool = False
    layer_scale: float | None = 0.1
    positions: PositionKind | Literal["none"] = "sinusoidal"
    temporal_width: int = 64
    temporal_kernel: int = 3
    temporal_average: tuple[float, float] | None = (0.45, 0.35)


class SelfAttention(nn.Module):
    """Multi-head self-attention along one axis of (B, T, S, D) tokens.

    Queries, keys and values are projected separately, so that each is a view that the attention kernel accepts for
    every axis without a copy.

    Args:
        width: token width D, a multiple of ``num_heads``.
        num_heads: number of heads.
        axis: ``spatial`` attends over the S tokens of one segment, ``temporal`` over the T segments of one token,
            ``joint`` over all T x S tokens of a clip.
    """

    def __init__(self, width: int, num_heads: int, axis: Axis) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.axis: Axis = axis
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def forward(self, tokens: Tensor, scale: Tensor | None = None) -> Tensor:
        """(B, T, S, D) to the same shape.

        Args:
            tokens: all tokens of B clips.
            scale: (D,) factor of the outputs.
        """
        query, key, value = (as_sets(part, self.num_heads, self.axis) for part in self._project(tokens, 3))
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2)
        out: Tensor = self.out(mixed.reshape(tokens.shape), scale)
        return out

    def weights(self, tokens: Tensor) -> Tensor:
        """Attention weights of each query token (row) over the key tokens (column), mean over the heads.

        Args:
            tokens: (B, T, S, D).

        Returns:
            (BT, 1, S, S) of spatial attention, (B, S, T, T) of temporal, (B, 1, TS, TS) of joint.
        """
        query, key = (as_sets(part, self.num_heads, self.axis) for part in self._project(tokens, 2))
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        by_head: Tensor = weights.unflatten(1, (-1, self.num_heads))
        return by_head.mean(2)

    def _project(self, tokens: Tensor, parts: int) -> list[Tensor]:
        """The first ``parts`` of queries, keys and values, (B, T, S, D) each."""
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        return [project(tokens, weights[part], biases[part]) for part in range(parts)]


def as_sets(tokens: Tensor, num_heads: int, axis: Axis) -> Tensor:
    """(B, T, S, D) to (sets, heads, length, D / num_heads), a view; for ``temporal``, tokens are folded into heads."""
    b, t, s, d = tokens.shape
    sets, length, heads = {
        "spatial": (b * t, s, num_heads),
        "temporal": (b, t, s * num_heads),
        "joint": (b, t * s, num_heads),
    }[axis]
    return tokens.view(sets, length, heads, d // num_heads).transpose(1, 2)


class ASTBlock(nn.Module):
    """One AST block: spatial attention, temporal attention, MLP; each pre-norm with a residual.

    Args:
        width: token width D.
        num_heads: attention heads.
        mlp_ratio: width of the MLP's hidden layer as a multiple of D.
        layer_scale: initial factor of the residual branches; None disables it (as published).
        attention_type: see `AttentionConfig.type`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int = 8,
        mlp_ratio: float = 2.0,
        layer_scale: float | None = 0.1,
        attention_type: AttentionType = "factorised",
    ) -> None:
        super().__init__()
        axes: tuple[Axis, ...] = ("spatial", "temporal") if attention_type == "factorised" else (attention_type,)
        self.attention = nn.ModuleDict({axis: SelfAttention(width, num_heads, axis) for axis in axes})
        self.norm = nn.ModuleDict({step: nn.LayerNorm(width) for step in (*axes, "mlp")})
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(Linear(width, hidden), nn.GELU(), Linear(hidden, width))
        self.scale = nn.ParameterDict(
            {} if layer_scale is None else {step: torch.full((width,), layer_scale) for step in (*axes, "mlp")}
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) to the same shape."""
        for axis, attention in self.attention.items():
            tokens = tokens + attention(self.norm[axis](tokens), self._scale(axis))
        expand, activation, reduce = self.mlp
        update: Tensor = reduce(activation(expand(self.norm["mlp"](tokens))), self._scale("mlp"))
        return tokens + update

    def _scale(self, step: str) -> Tensor | None:
        return self.scale[step] if len(self.scale) else None


class ASTAttention(nn.Module):
    """Position encodings, L AST blocks and a final normalisation, from encoder features to tokens of width D.

    Args:
        width: D_f of the encoders' features.
        config: options.
        activation_checkpointing: recompute the activations of the blocks in the backward pass instead of storing them.

    Attributes:
        width: token width D = D_f + D_t.

    Raises:
        ConfigError: D is not a multiple of the number of heads.
    """

    def __init__(self, width: int, config: AttentionConfig, activation_checkpointing: bool = False) -> None:
        super().__init__()
        c = config
        temporal_width = c.temporal_width if c.num_layers and c.positions != "none" else 0
        self.config = config
        self.activation_checkpointing = activation_checkpointing
        self.width = width + temporal_width
        if c.num_layers and self.width % c.num_heads:
            raise ConfigError(
                f"model.width {width} + model.attention.temporal_width {temporal_width} is not a multiple of "
                f"model.attention.num_heads {c.num_heads}"
            )
        self.spatial_encoding = nn.Identity() if c.positions == "none" else SpatialEncoding(width, c.positions)
        self.temporal_encoding = (
            TemporalEncoding(temporal_width, c.positions) if temporal_width and c.positions != "none" else None
        )
        blocks = (ASTBlock(self.width, c.num_heads, c.mlp_ratio, c.layer_scale, c.type) for _ in range(c.num_layers))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(self.width)

    def embed_audio(self, features: Tensor) -> Tensor:
        """Ã = [A ; Pos_t]: (B, T, D_f) audio features to (B, T, 1, D) tokens before the blocks."""
        return self._append_temporal_encoding(features[:, :, None])

    def embed_frames(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Ṽ = [V + Pos_s ; Pos_t]: (B, T, hw, D_f) features of (h, w) cells to (B, T, hw, D) tokens."""
        maps = features.flatten(0, 1).transpose(1, 2).unflatten(2, grid)  # (BT, D_f, h, w)
        cells = self.spatial_encoding(maps).flatten(2).transpose(1, 2)  # (BT, hw, D_f)
        return self._append_temporal_encoding(cells.unflatten(0, features.shape[:2]))

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Runs both modalities through the blocks, together if ``cross_modal``.

        Args:
            audio: (B, T, 1, D) audio tokens before the blocks.
            visual: (B, T, hw, D) visual tokens before the blocks.

        Returns:
            Audio tokens (B, T, D) and visual tokens (B, T, hw, D).
        """
        if self.config.cross_modal:
            tokens = self.apply_blocks(torch.cat([audio, visual], dim=2))
            return tokens[:, :, 0], tokens[:, :, 1:]
        return self.apply_blocks(audio)[:, :, 0], self.apply_blocks(visual)

    def apply_blocks(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) tokens through the AST blocks and the final normalisation; same shape."""
        for block in self.blocks:
            tokens = checkpointed(block, tokens) if self.activation_checkpointing else block(tokens)
        normalised: Tensor = self.norm(tokens)
        return normalised

    def temporal_layers(self) -> list[SelfAttention]:
        """The temporal attention of every block, in order; empty if there is none."""
        layers = [layer for layer in self.blocks.modules() if isinstance(layer, SelfAttention)]
        return [layer for layer in layers if layer.axis == "temporal"]

    def _append_temporal_encoding(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D_f) to (B, T, S, D)."""
        if self.temporal_encoding is None:
            return tokens
        b, t, s, _ = tokens.shape
        encoding = self.temporal_encoding(t, tokens.device)[None, :, None].expand(b, t, s, -1)
        return torch.cat([tokens, encoding.to(tokens.dtype)], dim=-1)
