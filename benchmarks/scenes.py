"""Scenes of a procedural world, drawn again from its arguments: sources, motion and visibility at every moment.

The files of a world have the sources of a few annotated frames only. Its scenes depend on the arguments in
``world.json`` alone, so that figures can state what is true at all other moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast, get_args

import numpy as np

from tavlo_pl.data.synthetic.annotate import HIDDEN, LEAST_VISIBLE, View
from tavlo_pl.data.synthetic.difficulty import LEVELS
from tavlo_pl.data.synthetic.materials import Procedural
from tavlo_pl.data.synthetic.render import Renderer, actor_sound
from tavlo_pl.data.synthetic.scene import KINDS, Scene, Split
from tavlo_pl.data.synthetic.write import World
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.parsing import read_json

TOLERANCE_S = 1e-6
"""Rounding tolerance of times, as in `media.read_clip`."""


@dataclass(frozen=True)
class ReplayedClip:
    """A clip of a procedural world.

    Attributes:
        world: its arguments.
        scene: objects, positions, sounds and times.
        video: its file.
    """

    world: World
    scene: Scene
    video: Path

    @cached_property
    def _renderer(self) -> Renderer:
        materials = Procedural()
        sounds = [actor_sound(actor, self.world.duration_s, materials) for actor in self.scene.actors]
        size = (self.world.width, self.world.height)
        level = LEVELS[self.world.difficulty]
        return Renderer(self.scene, level, size, self.world.duration_s, self.world.frame_rate, sounds, materials)

    def frame_at(self, time_s: float) -> int:
        """Number of the frame that is shown at a time."""
        return min(int((time_s + TOLERANCE_S) * self.world.frame_rate), self._renderer.frame_count - 1)

    def draw(self, time_s: float) -> tuple[np.ndarray, View]:
        """(H, W, 3) uint8 of the frame shown at a time, and what is visible of every actor."""
        return self._renderer.draw(self.frame_at(time_s))

    def sources(self, time_s: float, view: View) -> list[int]:
        """Actors that are heard at a time and visible in its frame."""
        least = LEAST_VISIBLE * view.owner.size
        return [n for n, a in enumerate(self.scene.actors) if a.sounding_at(time_s) and view.visible(n) >= least]

    def is_active(self, actor: int, time_s: float, view: View) -> bool:
        """Whether an actor is seen and heard to move: within an audible burst, and not hidden by nearer objects."""
        activity = self.scene.actors[actor].activity
        if activity is None or view.visible(actor) < max(1, HIDDEN * view.whole[actor]):
            return False
        return any(begin <= time_s <= end for begin, end in activity.audible)


def replay(split: Path, names: Sequence[str] | None = None) -> list[ReplayedClip]:
    """Draws clips of a world again, in the order of their names.

    Args:
        split: ``DIR/val`` or ``DIR/test``, the folder with ``video/``.
        names: of the clips; None for all.

    Raises:
        ConfigError: there is no world of procedural classes of version 2, or no such clip.
    """
    note = split.parent / "world.json"
    if not note.is_file() or split.name not in get_args(Split):
        raise ConfigError(f"{split}: no split of a procedural world: {note} or the video folder is missing")
    world = World(**read_json(note))
    if world.sprites is not None or world.version != 2:
        raise ConfigError(f"{note}: only worlds of procedural classes and version 2 can be drawn again")
    present = {path.stem: path for path in sorted((split / "video").glob("*.mp4"))}
    wanted = list(present) if names is None else list(names)
    clips: dict[str, ReplayedClip] = {}
    for number in range(len(present)):
        for kind in KINDS:
            if len(clips) < len(wanted):
                scene = world.scene(cast("Split", split.name), number, kind, Procedural())
                if scene.name in present and scene.name in wanted:
                    clips[scene.name] = ReplayedClip(world, scene, present[scene.name])
    if missing := [name for name in wanted if name not in clips]:
        raise ConfigError(f"{split}: no such clip of {note}: {', '.join(missing)}")
    return [clips[name] for name in sorted(wanted)]
