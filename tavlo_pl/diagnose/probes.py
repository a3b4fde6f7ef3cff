"""The probes of ``tavlo diagnose``: each computes values from the maps and compares them with a stated limit.

Three probes are decisive; ``RULES`` states their conditions. The two limits lie between the values of two checkpoints
on test clips of version 1 of the procedural videos (96 clips, one seed): with the recommended objective, map change
0.31, retrieval accuracy 44 % (chance: 12.5 %) and an audio location share of 21 % of the variance; with the published
objective, after one epoch, 0.0004, 13 % and 0.1 %. Two further variants after one epoch, evaluated with the limits
already set: cross-modal attention with maximum pooling of positives and negatives 0.012, 13 % and 0.8 %; no attention,
maximum pooling of positives and mean pooling of negatives, 0.011, 13 % and 1.1 %. No evaluated checkpoint lies near a
limit.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from tavlo_pl.data.synthetic.twins import TwinClips
from tavlo_pl.diagnose import measures
from tavlo_pl.diagnose.measures import Figure
from tavlo_pl.diagnose.perturbations import Maps
from tavlo_pl.metrics.functional.baselines import centred_disk
from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.pooled import universal_threshold
from tavlo_pl.metrics.functional.thresholds import parse_rule, universal_quantile
from tavlo_pl.types import Targets

MIN_MAP_CHANGE = 0.05
"""1 - correlation below which maps count as unchanged."""

MIN_AUDIO_LOCATION = 0.05
"""Share of the variance below which the audio does not determine the location of high scores."""

MAX_ACTIVE_SHARE = 0.02
"""Largest share of pixels above the threshold for audio without a source."""

MIN_MIRRORED = 0.5
"""Smallest correlation of the map of mirrored frames, mirrored back, with the map of the original frames."""

MAX_CENTRE = 0.5
"""Correlation with a centred disk from which a map counts as a centre prior."""

RULES = (
    f"mismatched_audio: with the audio of another clip the map changes (1 - correlation) by at least {MIN_MAP_CHANGE}, "
    "and ciou_mean decreases where clips are annotated;",
    "retrieval: the matched pair of frames and audio has the highest score of fused pairs more often than by chance;",
    f"variance: the audio determines which cells have high scores by at least {MIN_AUDIO_LOCATION:.0%} of the variance "
    "of all scores.",
)
"""Conditions of the verdict; each applies to the unfavourable end of the 95 % interval."""

RULE = parse_rule("top_tenth")
QUANTILE = universal_quantile("universal:0.9")

SIZE = (224, 224)
"""Height and width at which the universal threshold is computed, in pixels."""


class Finding(NamedTuple):
    """The result of a probe.

    Attributes:
        name: key in ``diagnose.json``.
        question: what the probe tests.
        figures: values by name; shares, correlations and cIoU in their natural range, not in %.
        sentence: the result in words.
        passed: whether the condition of the probe holds; None for a probe without a condition.
        decisive: whether the overall verdict depends on it.
    """

    name: str
    question: str
    figures: dict[str, Figure]
    sentence: str
    passed: bool | None = None
    decisive: bool = False


class Diagnosis(NamedTuple):
    """All findings and the verdict.

    Attributes:
        depends_on_audio: whether all decisive probes pass.
        sentence: the verdict in words.
        findings: one a probe.
    """

    depends_on_audio: bool
    sentence: str
    findings: list[Finding]


def diagnose(maps: Maps, targets: Targets | None) -> Diagnosis:
    """Runs all probes on the maps of N clips.

    Args:
        maps: under all perturbations.
        targets: ground truth, whose ``row`` indexes the N clips; without it the cIoU is left out.
    """
    truth = on_screen(targets)
    findings = [
        mismatched_audio(maps, truth),
        retrieval(maps),
        variance(maps),
        synthetic_audio(maps, truth),
        mirrored_frames(maps),
        centre_prior(maps),
    ]
    if maps.silent.any():
        findings.append(silent_segments(maps, truth))
    if maps.own.shape[1] > 1:
        findings += [shifted_audio(maps, truth), shuffled_frames(maps), frozen_frames(maps)]
    failed = [finding.sentence for finding in findings if finding.decisive and not finding.passed]
    if failed:
        sentence = "The heatmaps do not depend on the audio by the rules."
        return Diagnosis(False, " ".join([sentence, *failed]), findings)
    return Diagnosis(True, "The heatmaps depend on the audio: the three decisive probes pass.", findings)


def mismatched_audio(maps: Maps, truth: Targets | None) -> Finding:
    """The audio of another clip in place of the clip's own."""
    change = Figure.of(measures.map_change(maps.own, maps.mismatched))
    passed = change.low >= MIN_MAP_CHANGE
    figures = {"map_change": change}
    clauses = [f"The map {'changes' if passed else 'hardly changes'} with the audio of another clip"]
    if truth is not None:
        figures |= _ciou_figures(maps.own, maps.mismatched, truth)
        decreases = figures["ciou_mean_relative_drop"].low > 0
        passed = passed and decreases
        clauses.append(f"ciou_mean {'decreases' if decreases else 'does not decrease'}")
    question = "Does the audio of another clip change the map?"
    return Finding("mismatched_audio", question, figures, _sentence(clauses), passed, True)


def retrieval(maps: Maps) -> Finding:
    """Matched against mismatched pairs of frames and audio, each fused by the whole model.

    A model with fusion can minimise its contrastive loss by encoding the fused audio in every token, because training
    never compares audio with the tokens of a mismatched *fusion*. This probe does: such a model gives mismatched pairs,
    fused, the scores of matched pairs. So does a model whose map does not depend on the audio.
    """
    scores = measures.pair_scores(maps.own, maps.mismatched)
    audio, frames = (measures.retrieved(scores.matched, other) for other in (scores.other_audio, scores.other_frames))
    chance = 1 / (1 + maps.mismatched.shape[1])
    figures = {
        "accuracy": Figure.of((audio + frames) / 2),
        "audio_given_frames": Figure.of(audio),
        "frames_given_audio": Figure.of(frames),
        "chance": Figure(chance, chance, chance),
    }
    passed = figures["accuracy"].low > chance
    sentence = (
        "The model scores matched pairs of frames and audio higher than mismatched pairs."
        if passed
        else "The model scores mismatched pairs of frames and audio like matched pairs."
    )
    return Finding("retrieval", "Does the matched pair have the highest score?", figures, sentence, passed, True)


def variance(maps: Maps) -> Finding:
    """Position, frames and audio as sources of the variance of the scores; see `measures.variance_shares`."""
    shares = measures.variance_shares(maps.own, maps.mismatched)
    figures = {name: Figure.of(values) for name, values in shares._asdict().items()}
    passed = figures["audio_location"].low >= MIN_AUDIO_LOCATION
    sentence = f"The audio {'determines' if passed else 'hardly determines'} which cells have high scores."
    return Finding("variance", "What does the variance of the scores depend on?", figures, sentence, passed, True)


def shifted_audio(maps: Maps, truth: Targets | None) -> Finding:
    """The clip's own audio, delayed by 1 to T/2 segments."""
    delays = range(1, maps.shifted.shape[1] + 1)
    figures = {
        f"map_change_delay_{delay}": Figure.of(measures.map_change(maps.own, maps.shifted[:, delay - 1]))
        for delay in delays
    }
    passed = figures[f"map_change_delay_{delays[-1]}"].low >= MIN_MAP_CHANGE
    clauses = [f"The map {'changes' if passed else 'hardly changes'} with delayed audio"]
    if truth is not None:
        figures |= _ciou_figures(maps.own, maps.shifted[:, -1:], truth)
        decreases = figures["ciou_mean_relative_drop"].low > 0
        clauses.append(f"ciou_mean {'decreases' if decreases else 'does not decrease'}")
    series = measures.peak(maps.own)  # (N, T)
    of_shifted = measures.peak(maps.shifted)  # (N, D, T)
    delayed = torch.stack([series.roll(delay, 1) for delay in delays], 1)
    figures["peak_follows_audio"] = Figure.of(measures.correlation(of_shifted, delayed, 1).mean(1))
    figures["peak_follows_frames"] = Figure.of(measures.correlation(of_shifted, series[:, None], 1).mean(1))
    return Finding("shifted_audio", "Does the map follow the audio in time?", figures, _sentence(clauses), passed)


def synthetic_audio(maps: Maps, truth: Targets | None) -> Finding:
    """Audio without a source in any frame."""
    threshold = universal(maps.own, truth)
    by_name = {"own_audio": maps.own, **maps.synthetic}
    figures = {
        f"active_share_{name}": Figure.of(_active_share(each, threshold).mean(1)) for name, each in by_name.items()
    }
    above = [name for name in maps.synthetic if figures[f"active_share_{name}"].value > MAX_ACTIVE_SHARE]
    which = ", ".join(above).replace("_", " ") if above else "none of them"
    sentence = f"Audio that activates more than {MAX_ACTIVE_SHARE:.0%} of the pixels: {which}."
    question = "Do silence and noise activate pixels?"
    return Finding("synthetic_audio", question, figures, sentence, not above)


def silent_segments(maps: Maps, truth: Targets | None) -> Finding:
    """Silent segments of the clip's own audio, in which the source may still be visible."""
    shares = _active_share(maps.own, universal(maps.own, truth))
    figures = {
        "active_share_silent": Figure.of(measures.mean_where(shares, maps.silent)),
        "active_share_sounding": Figure.of(measures.mean_where(shares, ~maps.silent)),
    }
    share = figures["active_share_silent"].value
    sentence = f"In silent segments {share:.1%} of the pixels are active."
    question = "Does the map drop below the threshold in silent segments?"
    return Finding("silent_segments", question, figures, sentence, share <= MAX_ACTIVE_SHARE)


def synchrony(maps: Tensor, twins: TwinClips) -> Finding:
    """Two copies of one object, of which one moves with the sound; the one with the higher maximum is chosen.

    Args:
        maps: (N, T, h, w) raw scores for the clips.
        twins: the clips.
    """
    pixels = interpolate(maps, twins.masks.shape[-2:], mode="bilinear")[:, :, None]  # (N, T, 1, S, S)
    highest = torch.where(torch.from_numpy(twins.masks), pixels, -torch.inf).flatten(-2).amax(-1)  # (N, T, 2)
    lead = highest[..., 0] - highest[..., 1]
    chosen = torch.where(lead.abs() < measures.FLAT, 0.5, (lead > 0).double())
    share = Figure.of(measures.mean_where(chosen, torch.from_numpy(twins.audible)))
    passed = share.low > 0.5  # chance
    sentence = f"Of two equal objects, the one that moves with the sound is chosen {share.value:.0%} of the time."
    figures = {"chosen": share, "chance": Figure(0.5, 0.5, 0.5)}
    return Finding("synchrony", "Is an object identified by its motion with the sound?", figures, sentence, passed)


def shuffled_frames(maps: Maps) -> Finding:
    """The frames in another order with the same audio: the audio of another segment and another temporal context."""
    change = Figure.of(measures.map_change(maps.own, maps.shuffled))
    effect = "changes" if change.low >= MIN_MAP_CHANGE else "hardly changes"
    sentence = f"The map of a frame {effect} with its position in the clip."
    return Finding("shuffled_frames", "Does the order of the frames matter?", {"map_change": change}, sentence)


def frozen_frames(maps: Maps) -> Finding:
    """One frame in all segments: the remaining variance over time depends on the audio or on the time index.

    The value of a clip is divided by the mean over all clips, so that clips with constant maps are included.
    """
    frozen, own = measures.temporal_variance(maps.frozen), measures.temporal_variance(maps.own)
    ratio = Figure.of(frozen / own.mean().clamp(min=measures.FLAT**2))
    sentence = f"With one frame in all segments {ratio.value:.0%} of the map's variance over time remains."
    figures = {"temporal_variance_ratio": ratio}
    return Finding("frozen_frames", "Does the map change over time if the frames do not?", figures, sentence)


def mirrored_frames(maps: Maps) -> Finding:
    """Horizontally mirrored frames: a map of the frames is mirrored as well, a map of positions is not."""
    mirrored = Figure.of(measures.correlation(maps.own, maps.mirrored.flip(-1)).mean(1))
    unmirrored = Figure.of(measures.correlation(maps.own, maps.mirrored).mean(1))
    passed = mirrored.low >= MIN_MIRRORED and mirrored.low > unmirrored.value
    figures = {"correlation_mirrored": mirrored, "correlation_unmirrored": unmirrored}
    sentence = f"The map {'is' if passed else 'is not'} mirrored with the frames."
    return Finding("mirrored_frames", "Is the map mirrored with the frames?", figures, sentence, passed)


def centre_prior(maps: Maps) -> Finding:
    """The mean map against a centred disk."""
    disk = centred_disk_of_cells(maps.own)
    each = Figure.of(measures.correlation(maps.own.mean(1), disk))
    mean = float(measures.correlation(maps.own.mean((0, 1)), disk))
    passed = each.high < MAX_CENTRE
    sentence = (
        f"The maps {'do not equal' if passed else 'equal'} a centre prior (correlation of the mean map: {mean:.2f})."
    )
    return Finding("centre_prior", "Are the maps a centre prior?", {"correlation": each}, sentence, passed)


def on_screen(targets: Targets | None) -> Targets | None:
    """The samples whose source is on-screen; None where there are none."""
    if targets is None:
        return None
    kept = targets.on_screen
    if not kept.any():
        return None
    chosen: dict[str, Any] = {
        name: part[kept] if isinstance(part, Tensor) else [text for text, keep in zip(part, kept, strict=True) if keep]
        for name, part in targets._asdict().items()
    }
    return Targets(**chosen)


def universal(own: Tensor, truth: Targets | None) -> float:
    """The 0.9 quantile of the raw scores of the annotated frames, or of all frames where none is annotated."""
    pool = own.flatten(0, 1) if truth is None else own[truth.row, truth.segment]
    return universal_threshold(pool, QUANTILE, SIZE)


def centred_disk_of_cells(maps: Tensor) -> Tensor:
    """(h, w): the centre prior at the resolution of the maps."""
    height, width = maps.shape[-2:]
    side = math.lcm(height, width)
    return adaptive_avg_pool2d(centred_disk((side, side))[None], (height, width))[0]


def _active_share(maps: Tensor, threshold: float) -> Tensor:
    return measures.active_share(maps, threshold, SIZE)


def _ciou_figures(own: Tensor, others: Tensor, truth: Targets) -> dict[str, Figure]:
    """``ciou_mean`` with the own audio and with K others (N, K, T, h, w), and the decrease relative to the former."""
    of_own, of_others = _ciou(own[:, None], truth), _ciou(others, truth)
    return {
        "ciou_mean_own_audio": Figure.of(of_own, truth.clip),
        "ciou_mean_changed_audio": Figure.of(of_others, truth.clip),
        "ciou_mean_relative_drop": Figure.of((of_own - of_others) / of_own.mean().clamp(min=measures.FLAT), truth.clip),
    }


def _ciou(maps: Tensor, truth: Targets) -> Tensor:
    """(N, K, T, h, w) to the cIoU of each sample, mean over K."""
    chosen = maps[truth.row, :, truth.segment]  # (samples, K, h, w)
    values = [ciou_of_maps(one, truth.mask, [RULE])[:, 0] for one in chosen.unbind(1)]
    return torch.stack(values).mean(0)


def _sentence(clauses: list[str]) -> str:
    return ", and ".join(clauses) + "."
