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

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional._numpy_kernels import at_least, at_ranks, limits
from tavlo_pl.metrics.functional.upsample import Interpolation, for_each_chunk

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


def fixed_rule(threshold: float) -> Rule:
    """The rule that claims the pixels with this score or a higher one."""
    return Rule(f"fixed:{threshold!r}", "fixed", Fraction(threshold))


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


def thresholds(scores: Tensor, rules: Sequence[Rule], area: Tensor) -> Tensor:
    """The score at and above which each rule claims the pixels of each map.

    Args:
        scores: (N, P) float32 raw scores, or (1, P) for one map that all N samples share.
        rules: R rules, none ``universal``, which is a score of the whole run: see `universal_threshold`.
        area: (N,) int64, ground-truth pixels.

    Returns:
        (N, R) float32, on the raw scale.

    Raises:
        ConfigError: a rule is ``universal``.
    """
    for rule in rules:
        if rule.kind == "universal":
            raise ConfigError(f"{rule.name} is one threshold for a whole run and cannot be found from one map.")
    found = scores.new_tensor([float(rule.value) for rule in rules]).repeat(len(area), 1)
    ranked = [place for place, rule in enumerate(rules) if rule.kind != "fixed"]
    if ranked:
        ranks = torch.stack([threshold_rank(rules[place], area, scores.shape[1]) for place in ranked], 1)
        strict = np.array([rules[place].kind == "adaptive" for place in ranked])
        low, high = (limit[:, None].cpu().numpy() for limit in limits(scores))
        lowest = _lowest_claimed(at_ranks(scores, ranks).cpu().numpy(), low, high, strict)
        found[:, ranked] = torch.from_numpy(lowest).to(found.device)
    return found


def _lowest_claimed(score: np.ndarray, low: np.ndarray, high: np.ndarray, strict: np.ndarray) -> np.ndarray:
    """The lowest score that is claimed by a threshold that was found on the order of a map's scores.

    The evaluators of the peers scale a map to 0..1 first. That keeps the order, but its rounding ties a score here and
    there with the one below, and with it their claim has a pixel more. We look for the lowest float32 that comes out at
    the threshold (strictly: above it) after such a scaling, which spares us the scaled map.

    Args:
        score: (N, K) float32, the threshold.
        low: (N, 1) float32, the map's lowest score.
        high: (N, 1) float32, the highest.
        strict: (K,) bool, whether only what is above is claimed.
    """
    span = np.where(high > low, high - low, np.float32(1))
    scaled = (score - low) / span
    reach = span * np.float32(2.0**-22)  # the scaling is off by less than half of this
    one_below, one_above = (np.nextafter(score, np.float32(limit)) for limit in (-np.inf, np.inf))
    outside = _in_order(np.where(strict, score, np.minimum(score - reach, one_below)))  # never claimed
    inside = _in_order(np.where(strict, np.maximum(score + reach, one_above), score))  # always claimed
    while (inside - outside > 1).any():
        middle = (inside + outside) // 2
        there = (_from_order(middle) - low) / span
        claimed = np.where(strict, there > scaled, there >= scaled)
        inside, outside = np.where(claimed, middle, inside), np.where(claimed, outside, middle)
    return _from_order(inside)


def _in_order(scores: np.ndarray) -> np.ndarray:
    """float32 as int64 in the same order, neighbours next to each other."""
    bits = scores.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(2**31) - bits, bits)


def _from_order(places: np.ndarray) -> np.ndarray:
    """The inverse of `_in_order`."""
    return np.where(places < 0, -(2**31) - places, places).astype(np.int32).view(np.float32)


def binarise(scores: Tensor, rule: Rule, area: Tensor) -> Tensor:
    """(N, P) bool, the pixels that the maps claim under one rule; see `thresholds`."""
    return at_least(scores, thresholds(scores, [rule], area)).expand(len(area), -1)


def universal_threshold(
    maps: Tensor, quantile: Fraction, size: int, interpolation: Interpolation = "bilinear"
) -> float:
    """One threshold for a run: the score at place floor(q M) among all M upsampled scores in ascending order.

    Exact, for any number of maps, in two passes over them: the order of float32 scores is the order of their bits read
    as integers (of negative ones, the opposite), so counting the upper 16 bits finds the bucket of the wanted score and
    counting the lower 16 bits inside the bucket finds the score.

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
    upper, rank = _bucket_of(_counts(maps, None, size, interpolation), np.r_[2**16 - 1 : 2**15 - 1 : -1, : 2**15], rank)
    places = np.arange(2**16)
    lower, _ = _bucket_of(_counts(maps, upper, size, interpolation), places[::-1] if upper >> 15 else places, rank)
    return float(np.uint32(upper << 16 | lower).view(np.float32)) + 0.0  # -0.0 becomes 0.0


def _counts(maps: Tensor, bucket: int | None, size: int, interpolation: Interpolation) -> np.ndarray:
    """(65536,) int64 counts of upsampled scores by the upper 16 bits, or by the lower 16 bits within one bucket."""
    total, free = np.zeros(2**16, np.int64), Lock()

    def count(_: slice, pixels: Tensor) -> None:
        bits = pixels.numpy().ravel().view(np.uint32)
        upper = bits >> 16
        found = np.bincount(upper if bucket is None else bits[upper == bucket] & 0xFFFF, minlength=2**16)
        with free:
            np.add(total, found, out=total)

    for_each_chunk(count, maps, size, interpolation)
    return total


def _bucket_of(counts: np.ndarray, order: np.ndarray, rank: int) -> tuple[int, int]:
    """The bucket that holds the item at place `rank` when buckets come in this order, and its place inside it."""
    ends = np.cumsum(counts[order])
    place = int(np.searchsorted(ends, rank, side="right"))
    bucket = int(order[place])
    return bucket, rank - int(ends[place] - counts[bucket])
