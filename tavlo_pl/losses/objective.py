"""The training objective of TAVLO: the published MIL loss and the terms added by the recommended configuration.

``configs/model/tavlo_paper.yaml`` is the published objective (the contrastive term alone, maximum against mean),
``configs/model/tavlo.yaml`` the recommended one (docs/method.md compares them).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.mil import Pool, mil_loss, with_diagonal
from tavlo_pl.losses.mil_pooling import bag_scores
from tavlo_pl.nn.gather import all_gather_with_grad


@dataclass(frozen=True)
class ObjectiveConfig:
    """Options of `MILObjective`; the defaults are the recommended configuration.

    Args:
        positive_pool: pooling of the matched pairs (equation 5); the paper: ``max``.
        negative_pool: pooling of the mismatched pairs (equation 6); the paper: ``mean``.
        temperature: divides the bag scores; the paper does not state it.
        num_time_shifted: number of negatives per clip that are its own audio, shifted by random numbers of segments.
        num_envelope_matched: number of negatives per clip that are audio of other clips of the batch, reordered to its
            envelope.
        num_silent: number of negatives shared by all clips: silence and steady noise.
        mismatch_peak_weight: weight of the term that flattens the maps of mismatched audio.
        silence_weight: weight of the term that ranks sounding segments above silent ones.
        gather_negatives: contrast the clips of all processes with each other instead of those of each process. The
            gradient is that of one process with all clips, except for batch norms (``trainer.sync_batchnorm``).
    """

    positive_pool: Pool = "smooth_max"
    negative_pool: Pool = "smooth_max"
    temperature: float = 0.05
    num_time_shifted: int = 6
    num_envelope_matched: int = 0
    num_silent: int = 3
    mismatch_peak_weight: float = 0.3
    silence_weight: float = 1.0
    gather_negatives: bool = False

    @property
    def needs_negatives(self) -> bool:
        """Whether audio other than that of the clips is encoded."""
        return max(self.num_time_shifted, self.num_envelope_matched, self.num_silent) > 0


class AudioNegatives(NamedTuple):
    """Audio tokens of negatives.

    Attributes:
        silent: (K, T, D), compared with every clip of this process.
        envelope_matched: (K, B, T, D), compared with clip b.
        time_shifted: (1 + K, B, T, D), compared with clip b; the first is the clip's own audio, not shifted.
        valid: (1 + K, T) bool, the segments of the time-shifted audio that are compared.
        moving: (B,) bool, the clips whose frames are compared with time-shifted audio; None for all.
    """

    silent: Tensor
    envelope_matched: Tensor
    time_shifted: Tensor
    valid: Tensor
    moving: Tensor | None = None


class MILObjective(nn.Module):
    """Multiple-instance contrastive objective: one method per term, each with its equation.

    Notation: s(a, v)^t is the pooled cosine of an audio token a with the cells of clip v at segment t, τ the
    temperature, a_i and v_i the audio and the frames of clip i, B the clips of all compared processes.

    Args:
        config: options.

    Raises:
        ConfigError: a count or a weight is negative, or the temperature is not above 0.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        c = config
        counts = (c.num_time_shifted, c.num_envelope_matched, c.num_silent)
        if min(*counts, c.mismatch_peak_weight, c.silence_weight) < 0 or c.temperature <= 0:
            raise ConfigError(
                "model.objective: counts and weights must not be negative, and temperature must be above 0"
            )
        self.config = config

    def forward(
        self, audio: Tensor, visual: Tensor, negatives: AudioNegatives | None = None, silent: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Computes all terms and their sum.

        Args:
            audio: (B, T, D) audio tokens of this process's clips.
            visual: (B, T, HW, D) visual tokens of the same clips.
            negatives: audio tokens of negatives; None omits their terms.
            silent: (B, T) bool, silent segments of the same clips; None omits the silence term.

        Returns:
            Scalars by name: ``loss``, the terms ``<name>_loss`` with their weights, and ``retrieval``, the share of
            audio tokens whose own clip scores best (1 / B is chance).
        """
        c = self.config
        scores, rows = self._bag_scores(audio, visual, negatives)
        mismatched = dict(zip(rows, scores[c.negative_pool].split(list(rows.values())), strict=True))
        matched = scores[c.positive_pool][: rows["clips"]]
        logits = with_diagonal(matched, mismatched["clips"])  # (B, B, T)
        positives = logits.diagonal().T  # (B, T)
        terms = {"mil": self.contrastive(logits, mismatched["silent"])}
        if negatives is not None and len(negatives.time_shifted):
            terms["time_shifted"] = self.time_shifted(negatives, visual)
        if rows["envelope_matched"]:
            terms["envelope_matched"] = self.ranking(positives.mean(1), mismatched["envelope_matched"].mean(2))
        if c.silence_weight and silent is not None:
            terms["silence"] = c.silence_weight * self.silence(positives, self._gathered(silent.to(positives)).bool())
        if c.mismatch_peak_weight:
            means = scores["mean"][: rows["clips"]]
            terms["mismatch_peak"] = c.mismatch_peak_weight * self.mismatch_peak(mismatched["clips"], means)
        return {
            "loss": torch.stack([*terms.values()]).sum(),
            "retrieval": retrieval(logits),
            **{f"{name}_loss": value for name, value in terms.items()},
        }

    def contrastive(self, logits: Tensor, silent: Tensor) -> Tensor:
        """Equation 7 of the paper; silence and noise are added as negatives of the visual-to-audio direction.

        L = -1/BT Σ_i,t [ log softmax_j(s(a_i, v_j)^t / τ)_i + log softmax_j(s(a_j, v_i)^t / τ)_i ],  where the second
        softmax also runs over the K silent audio tokens.

        Args:
            logits: (B, B, T) bag scores, matched pairs on the diagonal.
            silent: (K, B, T) bag scores of silence and noise.
        """
        return mil_loss(logits, self.config.temperature, silent)

    def ranking(self, positives: Tensor, negatives: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Ranks the clip's own audio above its negatives. Not in the paper.

        L = -1/B Σ_i log softmax_k(s̄(a_i^k, v_i) / τ)_0,  with a_i^0 = a_i and s̄ the mean over segments: in a single
        segment the two can be equal.

        Args:
            positives: (...) scores of the matching audio.
            negatives: (K, ...) scores of K negatives.
            chosen: (...) bool, the elements that count; None for all.
        """
        return ranking_loss(positives, negatives, self.config.temperature, chosen)

    def time_shifted(self, negatives: AudioNegatives, visual: Tensor) -> Tensor:
        """`ranking` of the clip's own audio above the same audio at other times. Not in the paper.

        The contrastive term compares single moments, at which the class of an object can be enough. This term compares
        how a cell changes with how the audio changes: s̄ is the mean over the segments that frames and shifted audio
        share. Clips in which no frame differs from the first are left out, as they match audio at all times equally.

        Args:
            negatives: the audio of each clip, first as it is, then shifted.
            visual: (B, T, HW, D) visual tokens of the clips of this process.
        """
        c = self.config
        pools: tuple[Pool, ...] = tuple(dict.fromkeys((c.positive_pool, c.negative_pool)))
        audio = negatives.time_shifted
        scores = bag_scores(audio[0, :0], audio, visual, pools)  # (P, 1 + K, B, T)
        each = torch.cat([scores[0, :1], scores[-1, 1:]])
        shown = negatives.valid.to(each)[:, None]
        unshifted, *shifted = (each * shown).sum(2) / shown.sum(2)
        return self.ranking(unshifted, torch.stack(shifted), negatives.moving)

    def silence(self, positives: Tensor, silent: Tensor) -> Tensor:
        """Ranks the scores of a clip's sounding segments above those of its silent ones. Not in the paper.

        L = -1/B' Σ_i log σ((mean_{t sounding} s_ii^t - mean_{t silent} s_ii^t) / τ),  over the B' clips that have both.
        With the contrastive term alone, silence matches frames without motion, which raises the whole map.

        Args:
            positives: (B, T) bag scores of each clip with its own audio.
            silent: (B, T) bool, silent segments.
        """
        return silence_loss(positives, silent, self.config.temperature)

    def mismatch_peak(self, scores: Tensor, means: Tensor) -> Tensor:
        """Flattens the maps of mismatched audio. Not in the paper.

        L = 1/(B(B-1)T) Σ_{i≠j,t} [ s(a_i, v_j)^t - mean_c S_ij^t(c) ] / τ.  The contrastive term only lowers the score
        below that of the matched pair, which leaves a peak at every salient object.

        Args:
            scores: (B, B, T) bag scores with the negative pooling.
            means: (B, B, T) mean scores of the same bags.
        """
        return mismatch_peak_loss(scores, means, self.config.temperature)

    def _bag_scores(
        self, audio: Tensor, visual: Tensor, negatives: AudioNegatives | None
    ) -> tuple[dict[Pool, Tensor], dict[str, int]]:
        """(A, B, T) bag scores of all audio tokens by pooling, and the number of rows of each kind of audio."""
        c = self.config
        pools: tuple[Pool, ...] = tuple(dict.fromkeys((c.positive_pool, c.negative_pool, "mean")))
        clips = self._gathered(audio)
        silent = audio[:0] if negatives is None else negatives.silent
        matched = audio.new_zeros(0, *audio.shape) if negatives is None else negatives.envelope_matched
        scores = self._gathered(bag_scores(torch.cat([clips, silent]), matched, visual, pools), dim=2)
        rows = {"clips": len(clips), "silent": len(silent), "envelope_matched": len(matched)}
        return dict(zip(pools, scores, strict=True)), rows

    def _gathered(self, tensor: Tensor, dim: int = 0) -> Tensor:
        return all_gather_with_grad(tensor, dim) if self.config.gather_negatives else tensor


def ranking_loss(positives: Tensor, negatives: Tensor, temperature: float, chosen: Tensor | None = None) -> Tensor:
    """Cross-entropy of the matching one of 1 + K candidates.

    Args:
        positives: (...) scores of the matching candidates.
        negatives: (K, ...) scores of K negatives.
        temperature: divides the scores.
        chosen: (...) bool, the elements that are averaged; None for all.

    Returns:
        Scalar; log(1 + K) for uniform scores, 0 if no element is chosen.
    """
    scores = torch.cat([positives[None], negatives]) / temperature
    each = scores.logsumexp(0) - scores[0]
    return each.mean() if chosen is None else (each * chosen).sum() / chosen.sum().clamp(min=1)


def silence_loss(positives: Tensor, silent: Tensor, temperature: float) -> Tensor:
    """`MILObjective.silence`; log 2 for uniform scores, 0 where no clip has a silent segment.

    Args:
        positives: (B, T) bag scores of each clip with its own audio.
        silent: (B, T) bool.
        temperature: divides the scores.
    """
    chosen = silent.any(1)
    if not chosen.any():
        return positives.new_zeros(())
    positives, silent = positives[chosen], silent[chosen]
    sounding, quiet = ((positives * part).sum(1) / part.sum(1) for part in (~silent, silent))
    return ranking_loss(sounding, quiet[None], temperature)


def mismatch_peak_loss(scores: Tensor, means: Tensor, temperature: float) -> Tensor:
    """`MILObjective.mismatch_peak`; at least 0.

    Args:
        scores: (B, B, T) bag scores of audio i with clip j.
        means: (B, B, T) mean scores of the same bags.
        temperature: divides the difference.
    """
    mismatched = ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    return ((scores - means) / temperature)[mismatched].mean()


def retrieval(logits: Tensor) -> Tensor:
    """Share of audio tokens whose own clip scores best among the (B, B, T) bag scores; 1 / B is chance."""
    target = torch.arange(len(logits), device=logits.device)[:, None]
    return (logits.argmax(1) == target).float().mean()
