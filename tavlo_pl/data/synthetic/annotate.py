"""Chooses the annotated frames of a rendered clip of version 2, and the cue of every source in them.

A source is identified by **appearance** where no other visible object has its class and its sound names the class, by
**synchrony** where equal objects are visible and the source moves with its sound, and by **memory** where nothing in
the frame tells: it is mostly hidden, or it rests while its sound rings on, beside equal objects or with the tone that
all classes share. Resting frames less than half a second from a motion of the source are ambiguous (the frames around
them tell) and are not annotated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tavlo_pl.data.synthetic.activity import is_moving
from tavlo_pl.data.synthetic.scene import Annotated, Scene, Source, rng_of, scenario_of
from tavlo_pl.types import Cue, Scenario

LEAST_VISIBLE = 0.004
"""Minimum visible share of the frame of a source in annotated frames; other objects can occlude it."""

HIDDEN = 0.5
"""An object of which a smaller share is visible counts as hidden."""

MARGIN_S = 0.1
"""Frames that are nearer to the start or end of a sound, or to entering or leaving, are ambiguous and left out."""

MEMORY_S = 0.5
"""Minimum time from the source's nearest motion, before or after, in frames that only memory identifies."""

LEAST_DISTANCE = 2
"""Minimum distance of two annotated frames."""


@dataclass(frozen=True)
class View:
    """What is visible of every actor in a frame.

    Attributes:
        owner: (H, W) int8, number of the actor that is visible at a pixel, -1 for the background.
        whole: (n,) pixels of each actor within the frame if nothing occluded it.
    """

    owner: np.ndarray
    whole: np.ndarray

    def visible(self, actor: int) -> int:
        """Visible pixels of an actor."""
        return int((self.owner == actor).sum())


@dataclass(frozen=True)
class _Candidate:
    annotated: Annotated
    group: tuple[object, ...]
    unlike: int


def choose_frames(scene: Scene, views: Sequence[View], frame_rate: float, count: int) -> tuple[Annotated, ...]:
    """The annotated frames of a clip: of every cue and source alternately, ascending.

    Frames are preferred in which all visible objects move, or none does, so that motion at the annotated moment does
    not indicate the source.

    Args:
        scene: the clip.
        views: of every frame.
        frame_rate: frames a second.
        count: maximum number of frames.
    """
    rng = rng_of("annotated", scene.background_seed)
    found = [_candidate(scene, frame, view, frame / frame_rate) for frame, view in enumerate(views)]
    candidates = [candidate for candidate in found if candidate is not None]
    order = sorted(rng.permutation(len(candidates)).tolist(), key=lambda n: candidates[n].unlike)
    queues: dict[tuple[object, ...], list[_Candidate]] = {}
    for n in order:
        queues.setdefault(candidates[n].group, []).append(candidates[n])
    chosen: list[Annotated] = []
    while len(chosen) < count and any(queues.values()):
        for queue in queues.values():
            while queue and len(chosen) < count:
                frame = queue.pop(0).annotated
                if all(abs(frame.frame - other.frame) >= LEAST_DISTANCE for other in chosen):
                    chosen.append(frame)
                    break
    return tuple(sorted(chosen, key=lambda annotated: annotated.frame))


def _candidate(scene: Scene, frame: int, view: View, time_s: float) -> _Candidate | None:
    """A frame with its sources, or None if it is ambiguous or a source is hardly visible."""
    heard = [n for n, a in enumerate(scene.actors) if a.sounding_at(time_s)]
    if not heard or not all(scene.actors[n].sounding_at(time_s, MARGIN_S) for n in heard):
        return None
    if (len(heard) > 1) != (scene.kind == "mixed_sound"):  # around the switch of a cross-event clip, both may sound
        return None
    sources = []
    for n in heard:
        actor = scene.actors[n]
        scenario = scenario_of(actor, time_s, scene.kind)
        if scenario is Scenario.OFF_SCREEN:
            if actor.visible_at(time_s, -MARGIN_S):
                return None
            sources.append(Source(n, scenario))
            continue
        if not actor.visible_at(time_s, MARGIN_S) or view.visible(n) < LEAST_VISIBLE * view.owner.size:
            return None
        cue = cue_of(scene, n, view, time_s)
        if cue is None:
            return None
        sources.append(Source(n, scenario, cue))
    moves = {n: _moves(scene, n, time_s) for n, a in enumerate(scene.actors) if a.visible_at(time_s)}
    unlike = sum(moves[n] != moves[s.actor] for s in sources if s.actor in moves for n in moves)
    return _Candidate(Annotated(frame, tuple(sources)), tuple((s.actor, s.cue) for s in sources), unlike)


def cue_of(scene: Scene, source: int, view: View, time_s: float) -> Cue | None:
    """The cue that identifies a visible source at a time; None if it rests, and moves less than `MEMORY_S` away.

    Args:
        scene: the clip.
        source: number of the actor.
        view: of the frame.
        time_s: time of the frame.
    """
    actor = scene.actors[source]
    assert actor.activity is not None
    least = LEAST_VISIBLE * view.owner.size
    equals = any(
        n != source and other.category == actor.category and view.visible(n) >= least
        for n, other in enumerate(scene.actors)
    )
    rests = not _moves(scene, source, time_s)
    hidden = view.visible(source) < HIDDEN * view.whole[source]
    if hidden:
        return Cue.MEMORY
    if rests and (equals or actor.activity.shared_ring):
        return None if _moves(scene, source, time_s, MEMORY_S) else Cue.MEMORY
    return Cue.SYNCHRONY if equals else Cue.APPEARANCE


def _moves(scene: Scene, actor: int, time_s: float, margin_s: float = 0.0) -> bool:
    activity = scene.actors[actor].activity
    return activity is not None and is_moving(activity, time_s, margin_s)
