"""Random scenes of procedural clips: objects, positions, sounds and times; no pixels.

A ``Scene`` has a background, a few ``Actor``s on smooth paths, and sounds. A sounding actor pulses with its sound; half
of the silent ones pulse at other times with a sound that is not part of the audio, so that pulsing alone does not
indicate the source. All draws depend on (seed, split, number of the clip) only.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tavlo_pl.data.synthetic.difficulty import LEVELS, Difficulty
from tavlo_pl.types import Scenario

Split = Literal["train", "val", "test"]
Kind = Literal["single_sound", "mixed_sound", "multi_entity", "off_screen", "cross_event"]
Interval = tuple[float, float]

KINDS: tuple[Kind, ...] = ("single_sound", "mixed_sound", "multi_entity", "off_screen", "cross_event")
TRAIN_SHARES: tuple[float, ...] = (0.35, 0.2, 0.2, 0.1, 0.15)
"""Probability of each kind in training clips, in the order of ``KINDS``."""


SLIDE_S = 0.6
"""Time in which an object enters or leaves the frame."""


@dataclass(frozen=True)
class Look:
    """Random appearance of an object; the class determines shape and texture.

    Attributes:
        variant: number that selects a file of the class, or details of its texture.
        hue: base colour, position on the colour circle, 0..1.
        contrast: contrast of its two tones, 0..1.
        size: radius at rest, as a share of the frame's height.
    """

    variant: int
    hue: float
    contrast: float
    size: float


@dataclass(frozen=True)
class Path:
    """A smooth path: centre + swing · sin(2π·rate·t + phase), in shares of the frame's width and height."""

    centre: tuple[float, float]
    swing: tuple[float, float]
    rate_hz: tuple[float, float]
    phase: tuple[float, float]
    turn: float
    """Slow rotation in radians a second."""

    def at(self, time_s: float) -> tuple[float, float, float]:
        """(x, y) in shares of width and height, and the angle in radians."""
        x, y = (
            c + s * np.sin(2 * np.pi * r * time_s + p)
            for c, s, r, p in zip(self.centre, self.swing, self.rate_hz, self.phase, strict=True)
        )
        return float(x), float(y), self.phase[0] + self.turn * time_s


@dataclass(frozen=True)
class Actor:
    """An object that is visible, audible, or both.

    Attributes:
        category: its class.
        look: its appearance.
        path: its position over time.
        intervals: when it sounds, or pulses without sound; seconds.
        audible: whether its sound is part of the audio.
        visible: when it is in the frame; None for never.
        gain_db: level of its sound.
        voice_seed: seed of its sound.
    """

    category: str
    look: Look
    path: Path
    intervals: tuple[Interval, ...]
    audible: bool
    visible: Interval | None
    gain_db: float
    voice_seed: int

    def position(self, time_s: float) -> tuple[float, float, float]:
        """(x, y) in shares of width and height, and the angle; it enters and leaves over the nearer side."""
        x, y, angle = self.path.at(time_s)
        if self.visible is not None:
            until_gone, since_come = self.visible[1] - time_s, time_s - self.visible[0]
            away = float(np.clip(1 - min(until_gone, since_come) / SLIDE_S, 0, 1))
            x += away**2 * (1.3 if self.path.centre[0] > 0.5 else -1.3)
        return x, y, angle

    def sounding_at(self, time_s: float, margin_s: float = 0.0) -> bool:
        """Whether it is audible at a time, at least ``margin_s`` from the ends of the interval."""
        return self.audible and any(a + margin_s <= time_s <= b - margin_s for a, b in self.intervals)

    def visible_at(self, time_s: float, margin_s: float = 0.0) -> bool:
        """Whether it is in the frame at a time, at least ``margin_s`` from entering or leaving."""
        return self.visible is not None and self.visible[0] + margin_s <= time_s <= self.visible[1] - margin_s


@dataclass(frozen=True)
class Annotated:
    """An annotated frame: its number and its sounding actors by scenario."""

    frame: int
    sources: tuple[tuple[int, Scenario], ...]


@dataclass(frozen=True)
class Scene:
    """A clip before rendering."""

    clip_id: str
    start_s: int
    kind: Kind
    actors: tuple[Actor, ...]
    annotated: tuple[Annotated, ...]
    background_seed: int
    noise_db: float
    reverb: tuple[float, float]

    @property
    def name(self) -> str:
        """The clip's id: 11 characters, an underscore and five digits."""
        return f"{self.clip_id}_{self.start_s:05d}"

    @property
    def label(self) -> str:
        """The audible classes, joined by ``, `` as in VGGSound's labels."""
        return ", ".join(dict.fromkeys(a.category for a in self.actors if a.audible))


def rng_of(*key: object) -> np.random.Generator:
    """A generator that depends on the key only, on every machine."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


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


def _place(
    rng: np.random.Generator, taken: list[tuple[float, float]], swing: tuple[float, float]
) -> tuple[float, float]:
    """A position away from the centre of the frame and from other objects: the best of 12 draws."""
    draws = [
        (float(rng.uniform(0.1 + swing[0], 0.9 - swing[0])), float(rng.uniform(0.17 + swing[1], 0.83 - swing[1])))
        for _ in range(12)
    ]
    best = max(draws, key=lambda d: min((d[0] - t[0]) ** 2 + (0.6 * (d[1] - t[1])) ** 2 for t in taken))
    taken.append(best)
    return best


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
    kind = kind or _draw_kind(rng)
    count = int(rng.integers(level.actors[0], level.actors[1] + 1))
    drawn = [str(c) for c in rng.permutation(list(categories))]
    hues = {c: i / len(categories) for i, c in enumerate(categories)}
    taken: list[tuple[float, float]] = [(0.5, 0.5)]  # no object is in the centre, so that a centre prior does not help

    def actor(category: str, intervals: tuple[Interval, ...], audible: bool, visible: Interval | None) -> Actor:
        swing = (rng.uniform(0.01, 0.07), rng.uniform(0.01, 0.09))
        path = Path(
            centre=_place(rng, taken, swing),
            swing=swing,
            rate_hz=(rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)),
            phase=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
            turn=rng.uniform(-0.8, 0.8),
        )
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
    digest = hashlib.sha256(repr((seed, split, kind, number)).encode()).digest()
    return Scene(
        clip_id=base64.urlsafe_b64encode(digest)[:11].decode(),
        start_s=int(rng.integers(0, 300)),
        kind=kind,
        actors=shuffled,
        annotated=_annotate(rng, shuffled, kind, duration_s, frame_rate, frames_annotated),
        background_seed=int(rng.integers(1 << 30)),
        noise_db=float(rng.uniform(level.noise_db - 15, level.noise_db)),
        reverb=(float(rng.uniform(0.1, 0.5)), float(rng.uniform(0, level.reverb))),
    )


def _draw_kind(rng: np.random.Generator) -> Kind:
    """Draws the kind of a training clip."""
    return KINDS[int(rng.choice(len(KINDS), p=TRAIN_SHARES))]


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
            usable.append(Annotated(frame, tuple((i, _scenario(actors[i], time_s, kind)) for i in sources)))
    chosen = rng.permutation(len(usable))[:frames_annotated]
    return tuple(usable[i] for i in sorted(chosen))


def _scenario(actor: Actor, time_s: float, kind: Kind) -> Scenario:
    if not actor.visible_at(time_s):
        return Scenario.OFF_SCREEN
    return {"mixed_sound": Scenario.MIXED_SOUND, "multi_entity": Scenario.MULTI_ENTITY}.get(kind, Scenario.SINGLE_SOUND)
