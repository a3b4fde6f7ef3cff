"""Difficulty levels of the procedural world."""

from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "standard", "hard"]


@dataclass(frozen=True)
class Level:
    """Parameters of a difficulty level.

    Attributes:
        actors: minimum and maximum number of objects in the frame, version 1.
        objects: the same, version 2.
        pulse: growth of an object at full loudness (version 1) or during a burst, relative to its size.
        glow: increase of its brightness at the same time, as a share.
        noise_db: maximum level of the background noise, relative to the loudest source.
        level_db: largest difference in level between sources.
        reverb: largest share of reverberation.
        hue_spread: range of hues of a class, as a share of the colour circle.
    """

    actors: tuple[int, int]
    objects: tuple[int, int]
    pulse: float
    glow: float
    noise_db: float
    level_db: float
    reverb: float
    hue_spread: float


LEVELS: dict[Difficulty, Level] = {
    "easy": Level((2, 3), (2, 3), 0.45, 0.4, -40, 3, 0.1, 0.2),
    "standard": Level((2, 4), (3, 4), 0.4, 0.4, -30, 6, 0.3, 0.3),
    "hard": Level((3, 4), (4, 5), 0.2, 0.0, -18, 12, 0.5, 1.0),
}
