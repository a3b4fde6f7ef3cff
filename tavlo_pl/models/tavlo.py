"""TAVLO: time-aligned audio-visual localization by Audio-Spatial-Temporal attention (arXiv 2507.04667).

Every option defaults to the form we recommend; ``configs/exp/tavlo_paper.yaml`` sets the published one.
"""

import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.mil import Pool, mil_logits, mil_loss
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.nn.attention import ASTBlock
from tavlo_pl.nn.audio import AudioEncoder
from tavlo_pl.nn.positions import Kind, SpatialEncoding, TemporalEncoding
from tavlo_pl.nn.similarity import pair_scores, score_map
from tavlo_pl.nn.visual import VisualEncoder


class TAVLO(AVLocalizer):
    """Audio and visual tokens of all segments through L AST blocks; the map is their cosine similarity.

    Args:
        visual: encoder of the frames; its features are projected to ``width`` where they have another width.
        width: D_f of both modalities.
        audio_channels: of the audio encoder's convolutions.
        temporal_width: D_t of the temporal encoding, which is concatenated; 0 leaves it out.
        positions: sinusoidal or learned encodings.
        layers: number of AST blocks L; 0 compares the encoders' features directly, without a clock.
        heads: attention heads; ``width + temporal_width`` must be a multiple.
        mlp_ratio: hidden width of the MLPs as a multiple of the token's width.
        audio_visual_link: whether sound and picture see each other in spatial attention. True is the published form,
            whose loss can be minimised without listening (docs/method.md).
        layer_scale: initial factor of the AST blocks' residual branches; None is the published form.
        positive_pool: bag score of a sound with its own frame; the paper: max.
        negative_pool: bag score of a sound with other clips' frames; the paper: mean.
        temperature: of the contrastive loss; open in the paper.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup: share of the steps in which the learning rate rises.
    """

    def __init__(
        self,
        visual: VisualEncoder,
        width: int = 512,
        audio_channels: tuple[int, ...] = (32, 64, 128),
        temporal_width: int = 64,
        positions: Kind = "sinusoidal",
        layers: int = 2,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        audio_visual_link: bool = False,
        layer_scale: float | None = 0.1,
        positive_pool: Pool = "smooth_max",
        negative_pool: Pool = "smooth_max",
        temperature: float = 0.05,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, warmup=warmup)
        token = width + temporal_width if layers else width
        if layers and token % heads:
            raise ConfigError(f"width {width} + temporal_width {temporal_width} is no multiple of {heads} heads")
        self.visual = visual
        self.project = nn.Identity() if visual.width == width else nn.Conv2d(visual.width, width, 1)
        self.audio = AudioEncoder(width, audio_channels)
        self.place = SpatialEncoding(width, positions)
        self.clock = TemporalEncoding(temporal_width, positions) if temporal_width and layers else None
        self.blocks = nn.Sequential(*(ASTBlock(token, heads, mlp_ratio, layer_scale) for _ in range(layers)))
        self.audio_visual_link = audio_visual_link
        self.norm = nn.LayerNorm(token)
        self.positive_pool: Pool = positive_pool
        self.negative_pool: Pool = negative_pool
        self.temperature = temperature

    def hear(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, F, W) log-mel to (B, T, 1, D) audio tokens before the AST blocks."""
        return self._with_clock(self.audio(spectrogram, segments)[:, :, None])

    def look(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, T, 3, H, W) uint8 to (B, T, hw, D) visual tokens before the AST blocks, and (h, w)."""
        cells = self.place(self.project(self.visual(frames.flatten(0, 1))))  # (BT, D_f, h, w)
        tokens = cells.flatten(2).transpose(1, 2).unflatten(0, frames.shape[:2])  # (B, T, hw, D_f)
        return self._with_clock(tokens), (cells.shape[-2], cells.shape[-1])

    def attend(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D) tokens through the AST blocks; they see each other and no others."""
        attended: Tensor = self.norm(self.blocks(tokens))
        return attended

    def fuse(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 1, D) and (B, T, hw, D) to audio tokens (B, T, D) and visual tokens (B, T, hw, D) after the blocks."""
        if self.audio_visual_link:
            tokens = self.attend(torch.cat([audio, visual], dim=2))
            return tokens[:, :, 0], tokens[:, :, 1:]
        return self.attend(audio)[:, :, 0], self.attend(visual)

    def encode(self, frames: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Tokens of sound and picture after the AST blocks.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            Audio tokens (B, T, D), visual tokens (B, T, hw, D), and (h, w).
        """
        visual, grid = self.look(frames)
        return *self.fuse(self.hear(spectrogram, frames.shape[1]), visual), grid

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, L, 1 + hw, T, T) weights of temporal attention; see the base class."""
        steps = [m for name, m in self.blocks.named_modules() if name.endswith("attention.temporal")]
        if not steps:
            return super().temporal_attention(frames, spectrogram)
        seen: dict[nn.Module, list[Tensor]] = {step: [] for step in steps}
        hooks = [step.register_forward_pre_hook(lambda m, args: seen[m].append(m.weights(args[0]))) for step in steps]
        try:
            self.encode(frames, spectrogram)
        finally:
            for hook in hooks:
                hook.remove()
        streams = [torch.cat([w.unflatten(0, (len(frames), -1)) for w in seen[step]], dim=1) for step in steps]
        return torch.stack(streams, dim=1)

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine of each segment's audio token with the cells of its frame."""
        audio, visual, grid = self.encode(frames, spectrogram)
        return score_map(audio.float(), visual.float()).unflatten(-1, grid)

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The MIL loss, and how often a sound's own clip scores best among the batch (chance: 1/B)."""
        audio, visual, _ = self.encode(frames, spectrogram)
        logits = mil_logits(pair_scores(audio.float(), visual.float()), self.positive_pool, self.negative_pool)
        own = torch.arange(len(logits), device=logits.device)[:, None]
        return {"loss": mil_loss(logits, self.temperature), "retrieval": (logits.argmax(1) == own).float().mean()}

    def _with_clock(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D_f) to (B, T, S, D): the temporal encoding is appended to every token of a segment."""
        if self.clock is None:
            return tokens
        b, t, s, _ = tokens.shape
        moment = self.clock(t, tokens.device)[None, :, None].expand(b, t, s, -1)
        return torch.cat([tokens, moment.to(tokens.dtype)], dim=-1)
