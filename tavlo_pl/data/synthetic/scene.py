"""Scenes of procedural clips: objects, positions, sounds and times; no pixels.

A ``Scene`` has a background, a few ``Actor``s on smooth paths, and sounds. `version1` and `version2` draw scenes; all
draws depend on (seed, split, number of the clip) only.
"""

import base64
import hashlib
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tavlo_pl.types import Cue, Scenario

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
        brightness: factor of its brightness at rest.
    """

    variant: int
    hue: float
    contrast: float
    size: float
    brightness: float = 1.0


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
class Activity:
    """When an object of version 2 moves, and how its sound follows.

    The object grows, brightens and shakes during each burst. During the audible bursts it also sounds at full level;
    after each of them the sound rings on while the object rests.

    Attributes:
        bursts: all bursts in seconds, ascending, without overlap.
        audible: those of them with sound; empty for silent objects.
        ring_s: time in which the ringing sound falls to 1/e.
        shared_ring: whether the ringing sound is a tone that all classes share, instead of that of the class.
        damped_s: time at which the ringing sound is stopped.
    """

    bursts: tuple[Interval, ...]
    audible: tuple[Interval, ...]
    ring_s: float
    shared_ring: bool
    damped_s: float = math.inf


@dataclass(frozen=True)
class Actor:
    """An object that is visible, audible, or both.

    Attributes:
        category: its class.
        look: its appearance.
        path: its position over time.
        intervals: when it sounds; in version 1 also when it pulses without sound; seconds.
        audible: whether its sound is part of the audio.
        visible: when it is in the frame; None for never.
        gain_db: level of its sound.
        voice_seed: seed of its sound.
        activity: when it moves; None in version 1, where it moves with its sound.
    """

    category: str
    look: Look
    path: Path
    intervals: tuple[Interval, ...]
    audible: bool
    visible: Interval | None
    gain_db: float
    voice_seed: int
    activity: Activity | None = None

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


class Source(NamedTuple):
    """A sounding actor of an annotated frame.

    Attributes:
        actor: its number.
        scenario: of the annotation.
        cue: what identifies it at this moment; None in version 1 and off-screen.
    """

    actor: int
    scenario: Scenario
    cue: Cue | None = None


@dataclass(frozen=True)
class Annotated:
    """An annotated frame: its number and its sounding actors."""

    frame: int
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Scene:
    """A clip before rendering; the annotated frames of version 2 are chosen after it (`annotate.py`)."""

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


def clip_id(*key: object) -> str:
    """11 characters, like an id of YouTube, from a key."""
    return base64.urlsafe_b64encode(hashlib.sha256(repr(key).encode()).digest())[:11].decode()


def draw_kind(rng: np.random.Generator) -> Kind:
    """Draws the kind of a training clip."""
    return KINDS[int(rng.choice(len(KINDS), p=TRAIN_SHARES))]


def place(
    rng: np.random.Generator, taken: list[tuple[float, float]], swing: tuple[float, float]
) -> tuple[float, float]:
    """A position away from the centre of the frame and from other objects: the best of 12 draws; appended to them."""
    draws = [
        (float(rng.uniform(0.1 + swing[0], 0.9 - swing[0])), float(rng.uniform(0.17 + swing[1], 0.83 - swing[1])))
        for _ in range(12)
    ]
    best = max(draws, key=lambda d: min((d[0] - t[0]) ** 2 + (0.6 * (d[1] - t[1])) ** 2 for t in taken))
    taken.append(best)
    return best


def draw_path(rng: np.random.Generator, taken: list[tuple[float, float]], swing: tuple[float, float]) -> Path:
    """A path around a free position."""
    return Path(
        centre=place(rng, taken, swing),
        swing=swing,
        rate_hz=(rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)),
        phase=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        turn=rng.uniform(-0.8, 0.8),
    )


def scenario_of(actor: Actor, time_s: float, kind: Kind) -> Scenario:
    """The scenario of a sounding actor at a time."""
    if not actor.visible_at(time_s):
        return Scenario.OFF_SCREEN
    return {"mixed_sound": Scenario.MIXED_SOUND, "multi_entity": Scenario.MULTI_ENTITY}.get(kind, Scenario.SINGLE_SOUND)
