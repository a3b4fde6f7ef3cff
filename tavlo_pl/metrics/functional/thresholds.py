"""Threshold rules: which pixels of a score map are predicted as sounding.

With N pixels in a map, sort(S) its scores in ascending order and G the number of ground-truth pixels:

================  =====================================================  ==============================
rule              predicted pixels                                       used by
================  =====================================================  ==============================
``top_half``      S >= sort(S)[N / 2]                                    EZ-VSL, FNAC, LVS, SSL-TIE
``top_tenth``     S >= sort(S)[0.9 N]                                    --
``adaptive``      S > sort(S)[N - G], so G - 1 pixels                    SSLalign
``fixed:x``       S >= x, on the raw score                               DMT, T-VSL
``universal:q``   S >= the q-quantile of the scores of all samples       AVATAR; off-screen; vssl_eval
================  =====================================================  ==============================

If scores tie at the threshold, the first two predict more pixels than their name states; of a constant map, all. For an
empty ground truth ``adaptive`` uses N / 2 instead of G, as SSLalign does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional._numpy_kernels import at_least, at_ranks, limits

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
    """Parses a name of the table above.

    Raises:
        ConfigError: the rule is unknown, or its value is not a number or not a quantile.
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
    """The rule that predicts the pixels with at least this score."""
    return Rule(f"fixed:{threshold!r}", "fixed", Fraction(threshold))


def universal_quantile(name: str) -> Fraction:
    """The quantile of a ``universal`` rule.

    Raises:
        ConfigError: the rule is another one; off-screen frames need one threshold for the whole run.
    """
    rule = parse_rule(name)
    if rule.kind != "universal":
        raise ConfigError(
            f"The off-screen rule {name!r} must be one threshold for the whole run, such as universal:0.9."
        )
    return rule.value


def threshold_rank(rule: Rule, area: Tensor, pixels: int) -> Tensor:
    """Rank of the threshold among a map's ascending scores.

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
    """(N,) int64: number of pixels that a ``top`` or ``adaptive`` rule predicts for a map without ties."""
    above = pixels - threshold_rank(rule, area, pixels)
    return above - 1 if rule.kind == "adaptive" else above


def thresholds(scores: Tensor, rules: Sequence[Rule], area: Tensor) -> Tensor:
    """The lowest predicted score of each map under each rule.

    Args:
        scores: (N, P) float32 raw scores, or (1, P) for one map that all N samples share.
        rules: R rules, none ``universal``, which is a score of the whole run: see `pooled.pooled_quantiles`.
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
    """The lowest score that is predicted at a threshold that is given by its rank.

    The evaluators of the peers first scale a map to 0..1. Its rounding can make a score equal to the next lower one,
    which adds a pixel to their prediction. This finds the lowest float32 whose scaled value is at the threshold
    (strict: above it), without scaling the map.

    Args:
        score: (N, K) float32, the threshold.
        low: (N, 1) float32, the map's lowest score.
        high: (N, 1) float32, the highest.
        strict: (K,) bool, whether only higher scores are predicted.
    """
    span = np.where(high > low, high - low, np.float32(1))
    scaled = (score - low) / span
    reach = span * np.float32(2.0**-22)  # more than twice the rounding error of the scaling
    one_below, one_above = (np.nextafter(score, np.float32(limit)) for limit in (-np.inf, np.inf))
    outside = in_order(np.where(strict, score, np.minimum(score - reach, one_below)))  # never predicted
    inside = in_order(np.where(strict, np.maximum(score + reach, one_above), score))  # always predicted
    while (inside - outside > 1).any():
        middle = (inside + outside) // 2
        there = (from_order(middle) - low) / span
        claimed = np.where(strict, there > scaled, there >= scaled)
        inside, outside = np.where(claimed, middle, inside), np.where(claimed, outside, middle)
    return from_order(inside)


def in_order(scores: np.ndarray) -> np.ndarray:
    """float32 as int64 in the same order, neighbours next to each other."""
    bits = scores.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(2**31) - bits, bits)


def from_order(places: np.ndarray) -> np.ndarray:
    """The inverse of `in_order`."""
    return np.where(places < 0, -(2**31) - places, places).astype(np.int32).view(np.float32)


def binarise(scores: Tensor, rule: Rule, area: Tensor) -> Tensor:
    """(N, P) bool, the predicted pixels under one rule; see `thresholds`."""
    return at_least(scores, thresholds(scores, [rule], area)).expand(len(area), -1)
