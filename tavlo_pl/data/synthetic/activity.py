"""When objects of version 2 move, and the envelopes of motion and sound that follow from it.

Every object draws its bursts from the same distribution, whether it sounds or not. A sounding object is heard from the
onset of a burst until its ringing sound has faded, which is longer than the usual pause between two bursts: at a moment
with sound, the source moves about as often as any other object. Some pauses are long: in their middle, neither the
frame nor the half second around it tells which of several resting objects is heard.
"""

from collections.abc import Sequence

import numpy as np

from tavlo_pl.data.synthetic.scene import Activity, Interval

BURST_S, PAUSE_S, LONG_PAUSE_S = (0.3, 0.7), (0.25, 0.7), (1.2, 2.0)
"""Limits of the length of a burst, and of the usual and the long pauses after it."""

LONG = 0.35
"""Probability of a long pause."""

RING_S = (0.5, 1.1)
"""Limits of the time in which a ringing sound falls to 1/e."""

TEMPO = 0.2
"""Largest factor, as a natural logarithm, by which the bursts and pauses of one object are longer or shorter."""

ATTACK_S, RELEASE_S = 0.06, 0.1
"""Time in which an object starts to move, and time constant with which it stops."""

RING_LEVEL = 0.6
"""Amplitude of the ringing sound right after a burst, where the sound during the burst has 1."""

FAINTEST = 0.1
"""Amplitude below which a ringing sound counts as silent: 20 dB below that during a burst."""

HALVES = (0.12, 0.4), (0.6, 0.88)
"""Parts of a clip in which every object has a whole burst; sounds begin before and end after them (`version2`)."""

STEP_S = 0.02
"""Step in which the correlation of envelopes is computed."""


def draw_bursts(
    rng: np.random.Generator, duration_s: float, others: Sequence[Sequence[Interval]]
) -> tuple[Interval, ...]:
    """Bursts of one object over a whole clip: of six draws, those that are the least correlated with other objects'.

    Every object has a whole burst in the first and in the second half of the clip, so that one that sounds in either
    half has an audible one, and having none does not identify a silent object.
    """
    times_s = np.arange(0, duration_s, STEP_S)
    taken = [pulse(bursts, times_s) for bursts in others]
    draws: list[tuple[Interval, ...]] = []
    while len(draws) < 6:
        bursts = _bursts(rng, duration_s)
        if all(_has_burst(bursts, low * duration_s, high * duration_s) for low, high in HALVES):
            draws.append(bursts)

    def largest(bursts: Sequence[Interval]) -> float:
        own = pulse(bursts, times_s)
        return max((abs(float(np.corrcoef(own, other)[0, 1])) for other in taken), default=0.0)

    return min(draws, key=largest)


def _bursts(rng: np.random.Generator, duration_s: float) -> tuple[Interval, ...]:
    tempo = float(np.exp(rng.uniform(-TEMPO, TEMPO)))
    begin = -float(rng.uniform(0, tempo * (BURST_S[1] + PAUSE_S[1])))
    bursts = []
    while begin < duration_s:
        end = begin + tempo * float(rng.uniform(*BURST_S))
        if end > 0:
            bursts.append((begin, end))
        begin = end + tempo * float(rng.uniform(*(LONG_PAUSE_S if rng.random() < LONG else PAUSE_S)))
    return tuple(bursts)


def _has_burst(bursts: Sequence[Interval], low_s: float, high_s: float) -> bool:
    return any(low_s <= begin and end <= high_s for begin, end in bursts)


def pulse(bursts: Sequence[Interval], times_s: np.ndarray) -> np.ndarray:
    """(N,) strength of the motion at (N,) times, 0..1: 1 during a burst, then falling."""
    strength = np.zeros(len(times_s))
    for begin, end in bursts:
        rise = np.clip((times_s - begin) / ATTACK_S, 0, 1)
        fall = np.exp(-np.clip(times_s - end, 0, None) / RELEASE_S)
        strength = np.maximum(strength, rise * fall)
    return strength


def sound_envelope(activity: Activity, times_s: np.ndarray) -> np.ndarray:
    """(N,) amplitude of the sound at (N,) times, 0..1: 1 during an audible burst, then ringing until the next."""
    level = np.zeros(len(times_s))
    for begin, end in activity.audible:
        after = times_s - end
        ring = RING_LEVEL * np.exp(-np.clip(after, 0, None) / activity.ring_s)
        current = np.where(after <= 0, 1.0, ring)
        level = np.where(times_s >= begin, current, level)
    return np.where(times_s < activity.damped_s, level, 0.0)


def audible_spans(activity: Activity) -> tuple[Interval, ...]:
    """The times at which the sound is not fainter than `FAINTEST`, joined where a burst begins before it has faded."""
    tail_s = activity.ring_s * float(np.log(RING_LEVEL / FAINTEST))
    spans: list[Interval] = []
    for begin, end in activity.audible:
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end + tail_s)
        else:
            spans.append((begin, end + tail_s))
    return tuple((begin, min(end, activity.damped_s)) for begin, end in spans)


def is_moving(activity: Activity, time_s: float, margin_s: float = 0.0) -> bool:
    """Whether the object moves at a time: within a burst, or less than `RELEASE_S` after it.

    Args:
        activity: of the object.
        time_s: the time.
        margin_s: bursts are this much longer on both sides.
    """
    return any(begin - margin_s <= time_s <= end + RELEASE_S + margin_s for begin, end in activity.bursts)
