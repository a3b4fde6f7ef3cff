"""TAVLO: time-aligned audio-visual localization by Audio-Spatial-Temporal attention (arXiv 2507.04667).

Every option defaults to the form we recommend; ``configs/exp/tavlo_paper.yaml`` sets the published one.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.mil import Pool, flatness_loss, matched, mil_loss, mixed_loss, pause_loss, pool_bag, ranking_loss
from tavlo_pl.losses.mil_pooling import bag_scores
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.nn.attention import ASTBlock, Reach
from tavlo_pl.nn.audio import AudioEncoder, Span
from tavlo_pl.nn.checkpointing import recomputed
from tavlo_pl.nn.gather import all_gather_with_grad, mine
from tavlo_pl.nn.negatives import match_envelope, mix, quiet, silent
from tavlo_pl.nn.positions import Kind, SpatialEncoding, TemporalEncoding
from tavlo_pl.nn.similarity import score_map
from tavlo_pl.nn.visual import VisualEncoder


class TAVLO(AVLocalizer):
    """Audio and visual tokens of all segments through L AST blocks; the map is their cosine similarity.

    Args:
        visual: encoder of the frames; its features are projected to ``width`` where they have another width.
        width: D_f of both modalities.
        audio_channels: of the audio encoder's convolutions.
        audio_span: ``segment`` as published; ``clip`` gives all frames one feature, as image-level methods do.
        audio_extra_pieces: 0 as published; otherwise misaligns sound and picture (``nn/audio.py``).
        temporal_width: D_t of the temporal encoding, which is concatenated; 0 leaves it out.
        positions: sinusoidal or learned encodings, or none, neither of place nor of time.
        reach: which tokens attend to each other in a block (``nn/attention.py``).
        layers: number of AST blocks L; 0 compares the encoders' features directly, without a clock.
        heads: attention heads; ``width + temporal_width`` must be a multiple.
        mlp_ratio: hidden width of the MLPs as a multiple of the token's width.
        cross_modal: whether sound and picture see each other in spatial attention. True is the published form,
            whose loss can be minimised without listening (docs/method.md).
        rolled_pairs: with the link, fuse each picture with its own sound and with this many sounds of other clips, and
            train to tell the right pair; 0 compares sounds and pictures that were fused with their own, as published.
        residual: with the link, add the fused map, scaled by a learned factor, to the map of the unlinked tokens.
        layer_scale: initial factor of the AST blocks' residual branches; None is the published form.
        positive_pool: bag score of a sound with its own frame; the paper: max.
        negative_pool: bag score of a sound with other clips' frames; the paper: mean.
        temperature: of the contrastive loss; open in the paper.
        num_time_shifted: without the link, copies of a clip's own sound, shifted by random numbers of segments, that
            its pictures must be told from. Each is encoded with the clock of its new place, so the clock tells nothing.
        num_envelope_matched: without the link, sounds of other clips, rearranged into the rhythm of a clip's own sound,
            that its pictures must be told from by what they sound like.
        num_silent: without the link, silence and noises that no picture must match better than its own sound.
        mixed_weight: without the link, weight of mixing the sounds of neighbours in the batch, each of which must find
            both pictures.
        mismatch_peak_weight: without the link, weight of asking that the map of a wrong sound be flat.
        silence_weight: without the link, weight of asking that a clip match its sound better than its pauses.
        gather_negatives: compare the clips of all processes with each other, not those of each process alone. The
            gradient is that of one process with all of them, but for batch norms (``trainer.sync_batchnorm``).
        recompute: what computes its inner values again in the backward pass in place of keeping them: the AST
            ``blocks``, or ``all``, the visual encoder too. Less memory for up to a third more time; the same gradient.
        compiler: backend of ``torch.compile`` for encoders and blocks, for example ``inductor``; None does without.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup: share of the steps in which the learning rate rises.
    """

    def __init__(
        self,
        visual: VisualEncoder,
        width: int = 512,
        audio_channels: tuple[int, ...] = (32, 64, 128),
        audio_span: Span = "segment",
        audio_extra_pieces: int = 0,
        temporal_width: int = 64,
        positions: Kind | Literal["none"] = "sinusoidal",
        reach: Reach = "factorised",
        layers: int = 1,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        cross_modal: bool = False,
        rolled_pairs: int = 0,
        residual: bool = False,
        layer_scale: float | None = 0.1,
        positive_pool: Pool = "smooth_max",
        negative_pool: Pool = "smooth_max",
        temperature: float = 0.05,
        num_time_shifted: int = 1,
        num_envelope_matched: int = 1,
        num_silent: int = 3,
        mixed_weight: float = 0.0,
        mismatch_peak_weight: float = 0.3,
        silence_weight: float = 1.0,
        gather_negatives: bool = False,
        recompute: Literal["none", "blocks", "all"] = "none",
        compiler: str | None = None,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, warmup=warmup)
        clock = temporal_width if layers and positions != "none" else 0
        token = width + clock
        if layers and token % heads:
            raise ConfigError(f"width {width} + temporal width {clock} is no multiple of {heads} heads")
        if (rolled_pairs or residual) and not cross_modal:
            raise ConfigError("model.rolled_pairs and model.residual fuse sound and picture: set cross_modal")
        if residual and not rolled_pairs:
            raise ConfigError("model.residual needs model.rolled_pairs: its map exists for fused pairs only")
        if gather_negatives and rolled_pairs:
            raise ConfigError("model.gather_negatives has nothing to gather for model.rolled_pairs: set one of them")
        self.visual = visual
        self.project = nn.Identity() if visual.width == width else nn.Conv2d(visual.width, width, 1)
        self.audio = AudioEncoder(width, audio_channels, span=audio_span, extra_pieces=audio_extra_pieces)
        self.place = nn.Identity() if positions == "none" else SpatialEncoding(width, positions)
        self.clock = TemporalEncoding(clock, positions) if clock and positions != "none" else None
        self.blocks = nn.Sequential(*(ASTBlock(token, heads, mlp_ratio, layer_scale, reach) for _ in range(layers)))
        self.cross_modal = cross_modal
        self.norm = nn.LayerNorm(token)
        self.rolled_pairs = rolled_pairs
        self.gain = nn.Parameter(torch.tensor(0.1)) if residual else None
        self.num_time_shifted, self.num_envelope_matched = num_time_shifted, num_envelope_matched
        self.num_silent, self.mixed_weight, self.mismatch_peak_weight = num_silent, mixed_weight, mismatch_peak_weight
        self.silence_weight = silence_weight
        self.positive_pool: Pool = positive_pool
        self.negative_pool: Pool = negative_pool
        self.temperature = temperature
        self.gather_negatives = gather_negatives
        self.recompute_blocks, self.visual.recompute = recompute != "none", recompute == "all"
        self.compiler = compiler
        if compiler is not None:
            for part in (*self.visual.trunk, self.audio.front, *self.blocks):
                part.compile(backend=compiler)

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
        for block in self.blocks:
            tokens = recomputed(block, tokens) if self.recompute_blocks else block(tokens)
        attended: Tensor = self.norm(tokens)
        return attended

    def fuse(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 1, D) and (B, T, hw, D) to audio tokens (B, T, D) and visual tokens (B, T, hw, D) after the blocks."""
        if self.cross_modal:
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
        hooked = torch.compiler.set_stance("force_eager") if self.compiler else nullcontext()
        try:
            with hooked:
                self.encode(frames, spectrogram)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([torch.cat(seen[step], dim=1) for step in steps], dim=1)

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine of each segment's audio token with the cells of its frame."""
        return self.localize_each(frames, [spectrogram])[0]

    def localize_each(self, frames: Tensor, spectrograms: Sequence[Tensor]) -> list[Tensor]:
        """Looks once; see the base class."""
        visual, grid = self.look(frames)
        heard = (self.hear(spectrogram, frames.shape[1]) for spectrogram in spectrograms)
        return [self._map(audio, visual).unflatten(-1, grid) for audio in heard]

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The MIL loss, and how often a clip's own sound scores best among the candidates."""
        visual, _ = self.look(frames)
        if self.rolled_pairs:
            return self._pair_loss(self.hear(spectrogram, frames.shape[1]), visual)
        if self.cross_modal:
            audio, visual = self.fuse(self.hear(spectrogram, frames.shape[1]), visual)
            bags = self._bags(self._gather(audio), [], visual)
            logits = matched(bags[self.positive_pool], bags[self.negative_pool])
            return {"loss": mil_loss(logits, self.temperature), "retrieval": _share_right(logits)}
        return self._unlinked_loss(spectrogram, visual)

    def _unlinked_loss(self, spectrogram: Tensor, visual: Tensor) -> dict[str, Tensor]:
        """The MIL loss with more sounds than clips: without the link they cost no second look at the pictures."""
        segments = visual.shape[1]
        draw = torch.Generator().manual_seed(self.global_step)  # of the step alone: a run that goes on draws the same
        spectrograms = self._gather(spectrogram)
        encoded = [
            spectrogram,
            mix(spectrogram, self._mine(spectrograms.roll(1, 0))) if self.mixed_weight else spectrogram[:0],
            quiet(spectrogram, self.num_silent, draw),
        ]
        own, mixed, nothing = self.audio(torch.cat(encoded), segments).split([len(sound) for sound in encoded])
        clips = self._gather(own)  # (B, T, D_f), B clips on all processes
        shifts = (1 + torch.randperm(segments - 1, generator=draw)[: self.num_time_shifted]).tolist()
        rolls = range(1, 1 + min(self.num_envelope_matched, len(clips) - 1))
        others = [(self._mine(spectrograms.roll(by, 0)), self._mine(clips.roll(by, 0))) for by in rolls]
        wrong = {  # of the same features in another order: no second look at the spectrogram
            "shifted": [own.roll(by, 1) for by in shifts],
            "rhythm": [match_envelope(spectrogram, *other) for other in others],
        }
        flat = [own, mixed, nothing, *wrong["shifted"], *wrong["rhythm"]]
        tokens = self.attend(self._with_clock(torch.cat(flat)[:, :, None]))[:, :, 0]
        own, mixed, nothing, *reordered = tokens.split([len(sounds) for sounds in flat])
        met = [self._gather(own), self._gather(mixed), nothing]  # by all clips; the others by their own clip
        pooled = self._bags(torch.cat(met), reordered, self.attend(visual))
        sizes = [*map(len, met), *map(len, wrong.values())]
        of_own, of_mixed, of_nothing, *of_wrong = pooled[self.negative_pool].split(sizes)
        logits = matched(pooled[self.positive_pool][: len(of_own)], of_own)
        losses = {"mil": mil_loss(logits, self.temperature, of_nothing)}
        for name, bags in zip(wrong, of_wrong, strict=True):
            if len(bags):  # over the whole clip, for at a single moment the two may sound the same
                losses[name] = ranking_loss(logits.diagonal().T.mean(1), bags.mean(2), self.temperature)
        if self.mixed_weight:
            losses["mixed"] = self.mixed_weight * mixed_loss(of_mixed, self.temperature)
        if self.silence_weight:
            paused = silent(spectrograms, segments)
            losses["pause"] = self.silence_weight * pause_loss(logits.diagonal().T, paused, self.temperature)
        if self.mismatch_peak_weight:
            losses["flat"] = self.mismatch_peak_weight * flatness_loss(
                of_own, pooled["mean"][: len(of_own)], self.temperature
            )
        scalars = {f"{name}_loss": loss for name, loss in losses.items()}
        return {"loss": torch.stack([*losses.values()]).sum(), "retrieval": _share_right(logits), **scalars}

    def _pair_loss(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        """Every picture fused with its own sound and with those of the next clips of the batch."""
        rolls = range(1, 1 + min(self.rolled_pairs, len(audio) - 1))
        own = pool_bag(self._map(audio, visual), self.positive_pool)  # (B, T)
        others = torch.stack([self._map(audio.roll(by, 0), visual) for by in rolls])  # (K, B, T, hw)
        others = pool_bag(others, self.negative_pool)  # (K, B, T)
        right = (own > others.amax(0)).float().mean()
        return {"loss": ranking_loss(own, others, self.temperature), "retrieval": right}

    def _map(self, audio: Tensor, visual: Tensor) -> Tensor:
        """(B, T, 1, D) and (B, T, hw, D) before the AST blocks to (B, T, hw) scores."""
        if self.gain is None:
            return score_map(*self.fuse(audio, visual))
        apart = score_map(self.attend(audio)[:, :, 0], self.attend(visual))
        together = score_map(*self.fuse(audio, visual))
        return (apart + self.gain * together).clamp(-1, 1)

    def _bags(self, sounds: Tensor, own: list[Tensor], visual: Tensor) -> dict[Pool, Tensor]:
        """Bag scores by pooling.

        Args:
            sounds: (A, T, D) tokens of sounds that every clip is compared with.
            own: K times (V, T, D) tokens of further sounds, one for each clip.
            visual: (V, T, hw, D) tokens of this process's clips.

        Returns:
            (A + K, V, T), V being the clips of all processes where negatives are gathered.
        """
        pools: tuple[Pool, ...] = tuple(dict.fromkeys((self.positive_pool, self.negative_pool, "mean")))
        further = torch.stack(own) if own else sounds[:0, None].expand(-1, len(visual), -1, -1)
        return dict(zip(pools, self._gather(bag_scores(sounds, further, visual, pools), dim=2), strict=True))

    def _gather(self, tensor: Tensor, dim: int = 0) -> Tensor:
        return all_gather_with_grad(tensor, dim) if self.gather_negatives else tensor

    def _mine(self, tensor: Tensor) -> Tensor:
        return mine(tensor) if self.gather_negatives else tensor

    def _with_clock(self, tokens: Tensor) -> Tensor:
        """(B, T, S, D_f) to (B, T, S, D): the temporal encoding is appended to every token of a segment."""
        if self.clock is None:
            return tokens
        b, t, s, _ = tokens.shape
        moment = self.clock(t, tokens.device)[None, :, None].expand(b, t, s, -1)
        return torch.cat([tokens, moment.to(tokens.dtype)], dim=-1)


def _share_right(logits: Tensor) -> Tensor:
    """How often a sound's own clip scores best among the (B, B, T) bag scores; 1/B is chance."""
    own = torch.arange(len(logits), device=logits.device)[:, None]
    return (logits.argmax(1) == own).float().mean()
