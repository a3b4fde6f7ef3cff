"""Difficulty levels of the procedural world."""

from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "standard", "hard"]


@dataclass(frozen=True)
class Level:
    """Parameters of a difficulty level.

    Attributes:
        actors: fewest and most objects in the frame.
        pulse: how much an object grows at full loudness, as a share of its size.
        glow: how much brighter it gets at full loudness, as a share.
        noise_db: loudest background noise, relative to the loudest source.
        level_db: largest difference in level between sources.
        reverb: largest share of reverberation.
        hue_spread: width of the band of hues a class is drawn from, as a share of the colour circle.
    """

    actors: tuple[int, int]
    pulse: float
    glow: float
    noise_db: float
    level_db: float
    reverb: float
    hue_spread: float


LEVELS: dict[Difficulty, Level] = {
    "easy": Level((2, 3), 0.45, 0.4, -40, 3, 0.1, 0.2),
    "standard": Level((2, 4), 0.4, 0.4, -30, 6, 0.3, 0.3),
    "hard": Level((3, 4), 0.2, 0.0, -18, 12, 0.5, 1.0),
}
