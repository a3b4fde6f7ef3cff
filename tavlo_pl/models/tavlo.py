"""TAVLO: time-aligned audio-visual localization by Audio-Spatial-Temporal attention (arXiv 2507.04667).

``configs/model/tavlo_paper.yaml`` is the published configuration, ``configs/model/tavlo.yaml`` the recommended one,
which is also the default of every option.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.objective import AudioNegatives, MILObjective, ObjectiveConfig
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.nn.attention import ASTAttention, AttentionConfig, SelfAttention
from tavlo_pl.nn.audio import AudioEncoder
from tavlo_pl.nn.gather import all_gather_with_grad, local_shard
from tavlo_pl.nn.negatives import match_envelope, silence_and_noise, silent_segments, time_shifted
from tavlo_pl.nn.similarity import score_map
from tavlo_pl.nn.temporal import TemporalAverage, TemporalConv
from tavlo_pl.nn.visual import VisualEncoder

MOST_UPSAMPLING = 8
"""Largest ``upsampling``: the weights of an untrusted checkpoint do not limit how large its maps become."""


class TAVLO(AVLocalizer):
    """Encoders, AST attention, and the cosine of the audio token with each visual token of its frame.

    Args:
        visual: encoder of the frames.
        audio: encoder of the segments of the audio.
        width: D_f of both modalities; features of another width are projected to it.
        attention: options of the AST attention.
        objective: options of the training objective.
        upsampling: score maps have so many times the cells of a frame on each side, interpolated (bicubic), so that a
            peak can lie between the centres of cells; the loss compares cells.
        activation_checkpointing: modules whose activations are recomputed in the backward pass: ``none``, the AST
            ``blocks``, or ``all``: the blocks and the visual encoder. Saves memory, takes up to a third more time; the
            gradient is the same.
        compile: backend of ``torch.compile`` for encoders and blocks, for example ``inductor``; None does not compile.

    Raises:
        ConfigError: the objective needs negatives that ``attention.cross_modal`` cannot score, or ``upsampling`` is
            not 1 to `MOST_UPSAMPLING`.
    """

    def __init__(
        self,
        visual: VisualEncoder,
        audio: AudioEncoder,
        width: int = 512,
        attention: AttentionConfig = AttentionConfig(),  # noqa: B008  # frozen
        objective: ObjectiveConfig = ObjectiveConfig(),  # noqa: B008  # frozen
        upsampling: int = 1,
        activation_checkpointing: Literal["none", "blocks", "all"] = "none",
        compile: str | None = None,  # noqa: A002  # the option's name in PyTorch
    ) -> None:
        super().__init__()
        if not 1 <= upsampling <= MOST_UPSAMPLING:
            raise ConfigError(f"model.upsampling is {upsampling}; it must be 1 to {MOST_UPSAMPLING}")
        if attention.cross_modal and (objective.needs_negatives or objective.silence_weight):
            raise ConfigError(
                "model.attention.cross_modal makes visual tokens depend on the clip's own audio, so audio negatives "
                "cannot be scored: set num_time_shifted, num_envelope_matched, num_silent and silence_weight of "
                "model.objective to 0"
            )
        self.visual = visual
        self.audio = audio
        self.project = nn.Identity() if visual.width == width else nn.Conv2d(visual.width, width, 1)
        self.project_audio = nn.Identity() if audio.width == width else nn.Linear(audio.width, width)
        kernel = attention.temporal_kernel
        self.margin = kernel // 2
        self.change = TemporalConv(width, kernel) if kernel else nn.Identity()
        self.change_audio = TemporalConv(width, kernel) if kernel else nn.Identity()
        self.attention = ASTAttention(width, attention, activation_checkpointing != "none")
        self.average = (
            nn.Identity() if attention.temporal_average is None else TemporalAverage(attention.temporal_average)
        )
        self.objective = MILObjective(objective)
        self.upsampling = upsampling
        self.visual.activation_checkpointing = activation_checkpointing == "all"
        self.compile_backend = compile
        if compile is not None:
            for part in (*self.visual.trunk, *self.audio.compiled_parts(), *self.attention.blocks):
                part.compile(backend=compile)

    @property
    def sound_names(self) -> tuple[str, ...]:
        """Names of the classes that the audio encoder tells."""
        return self.audio.class_names

    def encode_audio(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, F, W) log-mel to (B, T, D_f) features."""
        return self._audio_features(self.audio(spectrogram, segments))

    def encode_frames(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, T, 3, H, W) uint8 to (B, T, hw, D) tokens before the AST blocks, and (h, w)."""
        features = self.frame_features(frames.flatten(0, 1))
        return self._visual_tokens(features.unflatten(0, frames.shape[:2]))

    def _audio_features(self, encoded: Tensor) -> Tensor:
        """(B, T, D_a) of the encoder to (B, T, D_f)."""
        changes: Tensor = self.change_audio(self.project_audio(encoded)[:, :, None])
        return changes[:, :, 0]

    def _visual_tokens(self, features: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, T, D_f, h, w) to (B, T, hw, D) tokens before the AST blocks, and (h, w)."""
        grid = (features.shape[-2], features.shape[-1])
        return self.attention.embed_frames(self.change(features.flatten(3).transpose(2, 3)), grid), grid

    def encode(self, frames: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Audio and visual tokens after the AST blocks.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            Audio tokens (B, T, D), visual tokens (B, T, hw, D), and (h, w).
        """
        visual, grid = self.encode_frames(frames)
        audio = self.attention.embed_audio(self.encode_audio(spectrogram, frames.shape[1]))
        return *self.attention(audio, visual), grid

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine of each segment's audio token with the cells of its frame.

        With ``attention.temporal_average``, averaged over time; with ``upsampling``, of finer cells.
        """
        return self.localize_each(frames, [spectrogram])[0]

    def localize_each(self, frames: Tensor, spectrograms: Sequence[Tensor]) -> list[Tensor]:
        """`localize` for several spectrograms; encodes the frames once."""
        visual, grid = self.encode_frames(frames)
        encoded = (self.encode_audio(spectrogram, frames.shape[1]) for spectrogram in spectrograms)
        tokens = (self.attention(self.attention.embed_audio(features), visual) for features in encoded)
        return [self._score_maps(audio, cells, grid) for audio, cells in tokens]

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, D_f, h, w)."""
        features: Tensor = self.project(self.visual(frames))
        return features

    def localize_windows(self, features: Tensor, windows: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps and classes of sounds of overlapping windows; each sound is encoded once."""
        visual, grid = self._visual_tokens(features[windows])
        encoded = self.audio(spectrogram, windows.shape[1])
        tokens, cells = self.attention(self.attention.embed_audio(self._audio_features(encoded)), visual)
        return self._score_maps(tokens, cells, grid), self.audio.classify(encoded)

    def _score_maps(self, audio: Tensor, visual: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, T, D) audio and (B, T, hw, D) visual tokens to (B, T, h', w') scores, h' = h times ``upsampling``."""
        maps: Tensor = self.average(score_map(audio, visual)).unflatten(-1, grid)
        if self.upsampling == 1:
            return maps
        finer = interpolate(maps, scale_factor=float(self.upsampling), mode="bicubic", align_corners=False)
        return finer.clamp(-1, 1)  # bicubic overshoots

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The objective's terms and their sum; see `MILObjective`."""
        segments = frames.shape[1]
        visual, _ = self.encode_frames(frames)
        if self.attention.config.cross_modal:
            features = self.encode_audio(spectrogram, segments)
            fused = self.attention(self.attention.embed_audio(features), visual)
            cross_modal: dict[str, Tensor] = self.objective(*fused)
            return cross_modal
        tokens, negatives = self._audio_tokens(spectrogram, segments)
        if len(negatives.time_shifted):
            negatives = negatives._replace(moving=(frames.amax(1) != frames.amin(1)).flatten(1).any(1))
        silent = silent_segments(spectrogram, segments)
        scalars: dict[str, Tensor] = self.objective(tokens, self.attention.apply_blocks(visual), negatives, silent)
        return scalars

    def _audio_tokens(self, spectrogram: Tensor, segments: int) -> tuple[Tensor, AudioNegatives]:
        """(B, T, D) tokens of the clips' own audio and those of the negatives, in one pass through the blocks.

        Shifted and reordered features get the temporal encoding of their new segment, so that Pos_t does not identify
        them.
        """
        c = self.objective.config
        quiet = silence_and_noise(spectrogram, c.num_silent)
        features = self.encode_audio(torch.cat([spectrogram, quiet]), segments)
        own, silent = features.split([len(spectrogram), c.num_silent])
        shifted, valid = time_shifted(own, c.num_time_shifted, self.margin)
        matched = self._envelope_matched(spectrogram, own)
        parts = [own, silent, shifted.flatten(0, 1), matched.flatten(0, 1)]
        tokens = self.attention.apply_blocks(self.attention.embed_audio(torch.cat(parts)))[:, :, 0]
        own, silent, *per_clip = tokens.split([len(part) for part in parts])
        shifted, matched = (part.unflatten(0, (-1, len(own))) for part in per_clip)
        return own, AudioNegatives(silent, matched, shifted, valid)

    def _envelope_matched(self, spectrogram: Tensor, features: Tensor) -> Tensor:
        """(K, B, T, D_f): features of the next K clips of the (global) batch, reordered to each clip's envelope."""
        gather = self.objective.config.gather_negatives
        spectrograms = all_gather_with_grad(spectrogram) if gather else spectrogram
        clips = all_gather_with_grad(features) if gather else features
        count = min(self.objective.config.num_envelope_matched, len(clips) - 1)
        rolled = ((spectrograms.roll(by, 0), clips.roll(by, 0)) for by in range(1, 1 + count))
        if gather:
            rolled = ((local_shard(other), local_shard(others)) for other, others in rolled)
        found = [match_envelope(spectrogram, other, others) for other, others in rolled]
        return torch.stack(found) if found else features.new_zeros(0, *features.shape)

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, L, 1 + hw, T, T) weights of temporal attention; see the base class."""
        layers = self.attention.temporal_layers()
        if not layers:
            return super().temporal_attention(frames, spectrogram)
        weights: dict[SelfAttention, list[Tensor]] = {layer: [] for layer in layers}
        hooks = [
            layer.register_forward_pre_hook(lambda m, args: weights[m].append(m.weights(args[0]))) for layer in layers
        ]
        eager = torch.compiler.set_stance("force_eager") if self.compile_backend else nullcontext()
        try:
            with eager:
                self.encode(frames, spectrogram)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([torch.cat(weights[layer], dim=1) for layer in layers], dim=1)
