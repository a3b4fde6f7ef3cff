"""Random scenes of version 1: whether an object moves is a hint at whether it is heard.

A sounding actor pulses with its sound; half of the silent ones pulse at other times, and the other half keeps still, so
that a motion detector finds many sources. Kept for one release, so that its results can be repeated.
"""

from collections.abc import Sequence

import numpy as np

from tavlo_pl.data.synthetic.difficulty import LEVELS, Difficulty
from tavlo_pl.data.synthetic.scene import (
    Actor,
    Annotated,
    Interval,
    Kind,
    Look,
    Scene,
    Source,
    Split,
    clip_id,
    draw_kind,
    draw_path,
    rng_of,
    scenario_of,
)


def _intervals(rng: np.random.Generator, duration_s: float) -> tuple[Interval, ...]:
    """One or two intervals of sound that cover 45-75 % of the clip."""
    total = rng.uniform(0.45, 0.75) * duration_s
    if rng.random() < 0.5:
        begin = rng.uniform(0, duration_s - total)
        return ((float(begin), float(begin + total)),)
    first = rng.uniform(0.4, 0.6) * total
    gap = rng.uniform(0.4, 0.8) * (duration_s - total)
    begin = rng.uniform(0, duration_s - total - gap)
    return (
        (float(begin), float(begin + first)),
        (float(begin + first + gap), float(begin + total + gap)),
    )


def _overlap(a: Sequence[Interval], b: Sequence[Interval]) -> float:
    return sum(max(0.0, min(x[1], y[1]) - max(x[0], y[0])) for x in a for y in b)


def _own_moments(rng: np.random.Generator, duration_s: float, heard: Sequence[Interval]) -> tuple[Interval, ...]:
    """Intervals in which a silent object pulses: of twelve draws, the one with the least overlap with audible ones."""
    draws = [_intervals(rng, duration_s) for _ in range(12)]
    return min(draws, key=lambda d: _overlap(d, heard))


def draw_scene(
    seed: int,
    split: Split,
    number: int,
    kind: Kind | None,
    categories: Sequence[str],
    difficulty: Difficulty,
    duration_s: float,
    frame_rate: float,
    frames_annotated: int,
) -> Scene:
    """Draws clip ``number`` of a split; equal arguments give equal scenes on every machine.

    Args:
        seed: of the world.
        split: train, val or test.
        number: of the clip within its split and kind.
        kind: kind of the clip; None draws it (training).
        categories: names of the classes.
        difficulty: one of ``LEVELS``.
        duration_s: length of the clip in seconds.
        frame_rate: frames a second.
        frames_annotated: maximum number of annotated frames.
    """
    rng = rng_of("tavlo world", seed, split, number, kind)
    level = LEVELS[difficulty]
    kind = kind or draw_kind(rng)
    count = int(rng.integers(level.actors[0], level.actors[1] + 1))
    drawn = [str(c) for c in rng.permutation(list(categories))]
    hues = {c: i / len(categories) for i, c in enumerate(categories)}
    taken: list[tuple[float, float]] = [(0.5, 0.5)]  # no object is in the centre, so that a centre prior does not help

    def actor(category: str, intervals: tuple[Interval, ...], audible: bool, visible: Interval | None) -> Actor:
        swing = (rng.uniform(0.01, 0.07), rng.uniform(0.01, 0.09))
        path = draw_path(rng, taken, swing)
        look = Look(
            variant=int(rng.integers(1 << 30)),
            hue=float((hues[category] + level.hue_spread * (rng.random() - 0.5)) % 1),
            contrast=rng.uniform(0.35, 0.9),
            size=rng.uniform(0.14, 0.19),
        )
        gain = -rng.uniform(0, level.level_db)
        return Actor(category, look, path, intervals, audible, visible, gain, int(rng.integers(1 << 30)))

    whole = (-1.0, duration_s + 1.0)
    heard = _intervals(rng, duration_s)
    actors: list[Actor] = []
    bystanders = drawn[2:]
    if kind == "single_sound":
        actors.append(actor(drawn[0], heard, True, whole))
    elif kind == "mixed_sound":
        begin = rng.uniform(0.05, 0.25) * duration_s
        both = (begin, begin + rng.uniform(0.5, 0.65) * duration_s)
        for category in drawn[:2]:
            early, late = rng.uniform(0, 0.08, 2) * duration_s
            actors.append(actor(category, ((both[0] - early, both[1] + late),), True, whole))
    elif kind == "multi_entity":
        same = int(rng.integers(2, 4))
        actors.append(actor(drawn[0], heard, True, whole))
        for _ in range(same - 1):
            own = _own_moments(rng, duration_s, heard) if rng.random() < 0.5 else ()
            actors.append(actor(drawn[0], own, False, whole))
    elif kind == "cross_event":
        switch = rng.uniform(0.35, 0.65) * duration_s
        lead, rest = rng.uniform(0, 0.12, 2) * duration_s
        pause = rng.uniform(0, 0.05) * duration_s
        actors.append(actor(drawn[0], ((lead, switch - pause),), True, whole))
        actors.append(actor(drawn[1], ((switch + pause, duration_s - rest),), True, whole))
    else:
        visible: Interval | None = None
        if rng.random() < 0.3:
            change = rng.uniform(0.35, 0.65) * duration_s
            visible = (-1.0, change) if rng.random() < 0.5 else (change, duration_s + 1.0)
            heard = ((0.08 * duration_s, 0.92 * duration_s),)
        actors.append(actor(drawn[0], heard, True, visible))
        count += 1
    everything_heard = [i for a in actors if a.audible for i in a.intervals]
    for category in bystanders[: max(0, count - len(actors))]:
        own = _own_moments(rng, duration_s, everything_heard) if rng.random() < 0.5 else ()
        actors.append(actor(category, own, False, whole))
    order = rng.permutation(len(actors))
    shuffled = tuple(actors[i] for i in order)
    return Scene(
        clip_id=clip_id(seed, split, kind, number),
        start_s=int(rng.integers(0, 300)),
        kind=kind,
        actors=shuffled,
        annotated=_annotate(rng, shuffled, kind, duration_s, frame_rate, frames_annotated),
        background_seed=int(rng.integers(1 << 30)),
        noise_db=float(rng.uniform(level.noise_db - 15, level.noise_db)),
        reverb=(float(rng.uniform(0.1, 0.5)), float(rng.uniform(0, level.reverb))),
    )


def _annotate(
    rng: np.random.Generator,
    actors: tuple[Actor, ...],
    kind: Kind,
    duration_s: float,
    frame_rate: float,
    frames_annotated: int,
) -> tuple[Annotated, ...]:
    """Random frames with audible sound, with every sounding actor and its scenario.

    Frames within 0.1 s of the start or end of a sound, or of entering or leaving, are left out, because they are
    ambiguous; in Mixed-sound clips, frames without both sounds are left out too.
    """
    margin_s = 0.1
    usable: list[Annotated] = []
    for frame in range(round(duration_s * frame_rate)):
        time_s = frame / frame_rate
        sources = [i for i, a in enumerate(actors) if a.sounding_at(time_s, margin_s)]
        unsure = [a for a in actors if a.audible and a.sounding_at(time_s) and not a.sounding_at(time_s, margin_s)]
        if not sources or unsure or (kind == "mixed_sound" and len(sources) < 2):
            continue
        sure = all(
            actors[i].visible_at(time_s, margin_s) or not actors[i].visible_at(time_s, -margin_s) for i in sources
        )
        if sure:
            usable.append(Annotated(frame, tuple(Source(i, scenario_of(actors[i], time_s, kind)) for i in sources)))
    chosen = rng.permutation(len(usable))[:frames_annotated]
    return tuple(usable[i] for i in sorted(chosen))
