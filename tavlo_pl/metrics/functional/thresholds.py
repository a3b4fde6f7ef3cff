"""Which pixels a score map claims: the threshold rules of the field, each an explicit argument.

With N pixels in a map, sort(S) its scores in ascending order and G the number of ground-truth pixels:

================  =====================================================  ==============================
rule              the map claims                                         used by
================  =====================================================  ==============================
``top_half``      S >= sort(S)[N / 2]                                    EZ-VSL, FNAC, LVS, SSL-TIE
``top_tenth``     S >= sort(S)[0.9 N]                                    TAVLO (AVATAR's "top 10 %")
``adaptive``      S > sort(S)[N - G], so G - 1 pixels                    SSLalign
``fixed:x``       S >= x, on the raw score                               DMT, T-VSL
``universal:q``   S >= the q-quantile of all on-screen scores            off-screen; vssl_eval
================  =====================================================  ==============================

Where scores tie at the threshold the first two claim more pixels than their name says: a constant map claims
all. For an empty ground truth ``adaptive`` takes N / 2 in place of G, as SSLalign does.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional.rows import ascending, at_least
from tavlo_pl.metrics.functional.upsample import Interpolation, upsampled_chunks

RULES = "top_half, top_tenth, adaptive, fixed:<score> or universal:<quantile in 0..1>"


@dataclass(frozen=True)
class Rule:
    """A parsed threshold rule.

    Attributes:
        name: as the user wrote it; the key in tables.
        kind: how the threshold is found.
        value: the quantile of ``top`` and ``universal``, the score of ``fixed``; exact.
    """

    name: str
    kind: Literal["top", "adaptive", "fixed", "universal"]
    value: Fraction = Fraction(0)


def parse_rule(name: str) -> Rule:
    """The rule of a name in the table above.

    Raises:
        ConfigError: no such rule, or a value that is no number or no quantile.
    """
    named = {
        "top_half": Rule("top_half", "top", Fraction(1, 2)),
        "top_tenth": Rule("top_tenth", "top", Fraction(9, 10)),
        "adaptive": Rule("adaptive", "adaptive"),
    }
    if name in named:
        return named[name]
    kind, _, text = name.partition(":")
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        kind = ""
    if kind == "fixed":
        return Rule(name, "fixed", value)
    if kind == "universal" and 0 <= value <= 1:
        return Rule(name, "universal", value)
    raise ConfigError(f"Unknown threshold rule {name!r}: use {RULES}.")


def universal_quantile(name: str) -> Fraction:
    """The quantile of a ``universal`` rule.

    Raises:
        ConfigError: another rule: off-screen frames need one threshold for the whole run.
    """
    rule = parse_rule(name)
    if rule.kind != "universal":
        raise ConfigError(
            f"The off-screen rule {name!r} must be one threshold for the whole run, such as universal:0.9."
        )
    return rule.value


def threshold_rank(rule: Rule, area: Tensor, pixels: int) -> Tensor:
    """Place of the threshold among a map's ascending scores.

    Args:
        rule: ``top`` or ``adaptive``.
        area: (N,) int64, ground-truth pixels |G|.
        pixels: pixels of a map, P.

    Returns:
        (N,) int64 in 0..P-1.
    """
    if rule.kind == "top":
        return torch.full_like(area, int(rule.value * pixels))
    return pixels - torch.where(area > 0, area, pixels // 2)


def claimed_pixels(rule: Rule, area: Tensor, pixels: int) -> Tensor:
    """(N,) int64: pixels that a ``top`` or ``adaptive`` rule claims of a map without ties."""
    above = pixels - threshold_rank(rule, area, pixels)
    return above - 1 if rule.kind == "adaptive" else above


def binarise(scores: Tensor, rule: Rule, area: Tensor, ordered: Tensor | None = None) -> Tensor:
    """The pixels that the maps claim.

    Args:
        scores: (N, P) raw scores, or (1, P) for one map that all N samples share.
        rule: any but ``universal``, which is a score of the whole run: see `universal_threshold`.
        area: (N,) int64, ground-truth pixels.
        ordered: `ascending(scores)`, for callers that apply several rules.

    Returns:
        (N, P) bool.

    Raises:
        ConfigError: the rule is ``universal``.
    """
    if rule.kind == "universal":
        raise ConfigError(f"{rule.name} is one threshold for a whole run and cannot be found from one map.")
    if rule.kind == "fixed":
        return at_least(scores, scores.new_tensor([[float(rule.value)]])).expand(len(area), -1)
    if ordered is None:
        ordered = ascending(scores)
    rank = threshold_rank(rule, area, scores.shape[1])
    threshold = ordered.expand(len(area), -1).gather(1, rank[:, None])
    if rule.kind == "adaptive":
        threshold = threshold.nextafter(threshold.new_tensor(torch.inf))  # strictly above
    return at_least(scores, threshold)


def universal_threshold(
    maps: Tensor, quantile: Fraction, size: int, interpolation: Interpolation = "bilinear"
) -> float:
    """One threshold for a run: the score at place floor(q M) among all M upsampled scores in ascending order.

    Exact, for any number of maps, in two passes over them: an IEEE float32 whose bits are read as an integer
    (those of negative numbers flipped) keeps its order, so counting the upper 16 bits finds the bucket of the
    wanted score and counting the lower 16 bits inside the bucket finds the score.

    Args:
        maps: (N, h, w) raw scores of the frames with a visible source, on the CPU.
        quantile: q, 0..1.
        size: evaluation pixels a side.
        interpolation: see `upsample`.

    Raises:
        ConfigError: there are no maps.
    """
    if not len(maps):
        raise ConfigError(
            "A universal threshold is a quantile of the scores of frames with a visible source, "
            "and there are none: give such frames too."
        )
    rank = min(int(quantile * len(maps) * size**2), len(maps) * size**2 - 1)
    upper = np.zeros(2**16, np.int64)
    for _, pixels in upsampled_chunks(maps, size, interpolation):
        upper += np.bincount(_sortable_bits(pixels) >> 16, minlength=2**16)
    bucket, rank = _bucket_of(upper, rank)
    lower = np.zeros(2**16, np.int64)
    for _, pixels in upsampled_chunks(maps, size, interpolation):
        bits = _sortable_bits(pixels)
        lower += np.bincount(bits[bits >> 16 == bucket] & 0xFFFF, minlength=2**16)
    key = bucket << 16 | _bucket_of(lower, rank)[0]
    key ^= 0x80000000 if key >> 31 else 0xFFFFFFFF
    return float(np.uint32(key).view(np.float32)) + 0.0  # -0.0 becomes 0.0


def _sortable_bits(scores: Tensor) -> np.ndarray:
    """float32 scores as a flat array of uint32 in the same order."""
    bits = scores.numpy().ravel().view(np.int32)
    return (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32)


def _bucket_of(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """The bucket that holds the item at place `rank`, and the item's place inside it."""
    ends = np.cumsum(counts)
    bucket = int(np.searchsorted(ends, rank, side="right"))
    return bucket, rank - int(ends[bucket] - counts[bucket])
