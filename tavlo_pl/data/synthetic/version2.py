"""Random scenes of version 2: whether an object moves says nothing about whether it is heard.

Every visible object has an `Activity` from the same distribution: silent ones, the other source of a cross-event clip
before and after its turn, and the source itself outside of its sounding span. Size and brightness at rest are random,
so that a single frame does not tell that an object has grown. In half of the clips one object moves behind another.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tavlo_pl.data.synthetic.activity import RING_S, audible_spans, draw_bursts
from tavlo_pl.data.synthetic.difficulty import LEVELS, Difficulty
from tavlo_pl.data.synthetic.scene import (
    Activity,
    Actor,
    Interval,
    Kind,
    Look,
    Scene,
    Split,
    clip_id,
    draw_kind,
    draw_path,
    rng_of,
)

TWIN_OFF_SCREEN = 1 / 3
"""Share of the off-screen clips in which an object of the sounding class is visible."""

OCCLUDED = 0.5
"""Share of the clips in which one object moves behind another."""


def draw_scene(
    seed: int,
    split: Split,
    number: int,
    kind: Kind | None,
    categories: Sequence[str],
    difficulty: Difficulty,
    duration_s: float,
    silent: Sequence[str] = (),
    has_shared_tone: bool = True,
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
        silent: names of the classes that never sound.
        has_shared_tone: whether the sound of half of the objects rings on as a tone that all classes share.
    """
    rng = rng_of("tavlo world 2", seed, split, number, kind)
    level = LEVELS[difficulty]
    kind = kind or draw_kind(rng)
    count = int(rng.integers(level.objects[0], level.objects[1] + 1))
    drawn = [str(c) for c in rng.permutation(list(categories))]
    names = [*categories, *silent]
    hues = {c: i / len(names) for i, c in enumerate(names)}
    taken: list[tuple[float, float]] = [(0.5, 0.5)]  # no object is in the centre, so that a centre prior does not help
    actors: list[Actor] = []

    def add(category: str, heard: Interval | None = None, visible: Interval | None = (-1.0, duration_s + 1.0)) -> None:
        """One more object; its bursts within `heard` are audible."""
        bursts = draw_bursts(rng, duration_s, [a.activity.bursts for a in actors if a.activity])
        activity = Activity(
            bursts=bursts,
            audible=() if heard is None else tuple(b for b in bursts if heard[0] <= b[0] and b[1] <= heard[1]),
            ring_s=float(rng.uniform(*RING_S)),
            shared_ring=bool(rng.random() < 0.5) and has_shared_tone,
            damped_s=math.inf if heard is None else heard[1],
        )
        swing = (rng.uniform(0.01, 0.06), rng.uniform(0.01, 0.07))
        look = Look(
            variant=int(rng.integers(1 << 30)),
            hue=float((hues[category] + level.hue_spread * (rng.random() - 0.5)) % 1),
            contrast=rng.uniform(0.35, 0.9),
            size=float(np.exp(rng.uniform(np.log(0.12), np.log(0.19)))),
            brightness=rng.uniform(0.65, 1.1),
        )
        actors.append(
            Actor(
                category=category,
                look=look,
                path=draw_path(rng, taken, swing),
                intervals=audible_spans(activity),
                audible=heard is not None,
                visible=visible,
                gain_db=-rng.uniform(0, level.level_db),
                voice_seed=int(rng.integers(1 << 30)),
                activity=activity,
            )
        )

    margin = rng.uniform(0, 0.12, 2) * duration_s
    heard = (float(margin[0]), float(duration_s - margin[1]))
    bystanders = [str(c) for c in rng.permutation([*drawn[2:], *silent])] if silent else drawn[2:]
    if kind == "single_sound":
        add(drawn[0], heard)
    elif kind == "mixed_sound":
        for category in drawn[:2]:
            add(category, heard)
    elif kind == "multi_entity":
        add(drawn[0], heard)
        for _ in range(int(rng.integers(1, 3))):
            add(drawn[0])
    elif kind == "cross_event":
        switch = rng.uniform(0.4, 0.6) * duration_s
        add(drawn[0], (heard[0], switch))
        add(drawn[1], (switch, heard[1]))
    else:
        visible: Interval | None = None
        if rng.random() < 0.3:
            change = rng.uniform(0.35, 0.65) * duration_s
            visible = (-1.0, change) if rng.random() < 0.5 else (change, duration_s + 1.0)
        add(drawn[0], heard, visible)
        if visible is None and rng.random() < TWIN_OFF_SCREEN / 0.7:
            add(drawn[0])
        count += 1
    for category in bystanders[: max(0, count - len(actors))]:
        add(category)
    shuffled = [actors[i] for i in rng.permutation(len(actors))]
    if rng.random() < OCCLUDED:
        _occlude(rng, shuffled)
    return Scene(
        clip_id=clip_id("version 2", seed, split, kind, number),
        start_s=int(rng.integers(0, 300)),
        kind=kind,
        actors=tuple(shuffled),
        annotated=(),
        background_seed=int(rng.integers(1 << 30)),
        noise_db=float(rng.uniform(level.noise_db - 15, level.noise_db)),
        reverb=(float(rng.uniform(0.1, 0.5)), float(rng.uniform(0, level.reverb))),
    )


def _occlude(rng: np.random.Generator, actors: list[Actor]) -> None:
    """Lets one object swing behind another that is nearer, that is, later in the list; both are drawn at random."""
    seen = [n for n, actor in enumerate(actors) if actor.visible is not None]
    behind, front = sorted(int(n) for n in rng.choice(seen, 2, replace=False))
    x, y = actors[behind].path.centre
    side = 1.0 if x < 0.5 else -1.0
    swing = float(rng.uniform(0.08, 0.12))
    path = replace(
        actors[behind].path, swing=(swing, actors[behind].path.swing[1]), rate_hz=(rng.uniform(0.2, 0.4), 0.1)
    )
    actors[behind] = replace(actors[behind], path=path)
    nearer = replace(actors[front].path, centre=(x + side * (swing + 0.02), y), swing=(0.01, 0.01))
    actors[front] = replace(actors[front], path=nearer)
