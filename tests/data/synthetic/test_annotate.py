"""Annotated frames of version 2: cues, exact masks, and balanced motion."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tavlo_pl.data.synthetic.activity import is_moving
from tavlo_pl.data.synthetic.annotate import HIDDEN, LEAST_DISTANCE, MEMORY_S, View, choose_frames, cue_of
from tavlo_pl.data.synthetic.difficulty import LEVELS
from tavlo_pl.data.synthetic.materials import Procedural
from tavlo_pl.data.synthetic.oracles import ORACLES, Oracle, choose
from tavlo_pl.data.synthetic.render import Renderer, actor_sound
from tavlo_pl.data.synthetic.scene import KINDS, Annotated, Kind, Scene
from tavlo_pl.data.synthetic.version2 import draw_scene
from tavlo_pl.types import Cue, Scenario

MATERIALS = Procedural()
RATE = 12


@cache
def rendered(kind: Kind, number: int = 0) -> tuple[Scene, tuple[View, ...], tuple[Annotated, ...]]:
    scene = draw_scene(0, "test", number, kind, MATERIALS.categories, "standard", 4.0)
    sounds = [np.zeros(10)] * len(scene.actors)
    renderer = Renderer(scene, LEVELS["standard"], (96, 64), 4.0, RATE, sounds, MATERIALS)
    views = tuple(renderer.draw(frame)[1] for frame in range(renderer.frame_count))
    return scene, views, choose_frames(scene, views, RATE, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_annotated_frames_name_every_source(kind: Kind) -> None:
    for number in range(3):
        scene, _, frames = rendered(kind, number)
        assert frames
        assert np.all(np.diff([f.frame for f in frames]) >= LEAST_DISTANCE)
        for frame in frames:
            heard = {n for n, a in enumerate(scene.actors) if a.sounding_at(frame.frame / RATE)}
            assert {s.actor for s in frame.sources} == heard
            assert all((s.cue is None) == (s.scenario is Scenario.OFF_SCREEN) for s in frame.sources)


def test_equal_objects_exclude_the_cue_appearance() -> None:
    found: Counter[Cue | None] = Counter()
    for number in range(6):
        scene, views, frames = rendered("multi_entity", number)
        for frame in frames:
            for source in frame.sources:
                found[source.cue] += 1
                if source.cue is not Cue.APPEARANCE:
                    continue
                category = scene.actors[source.actor].category
                equal = [n for n, a in enumerate(scene.actors) if a.category == category and n != source.actor]
                assert all(views[frame.frame].visible(n) < 0.004 * 96 * 64 for n in equal)
    assert min(found[Cue.SYNCHRONY], found[Cue.MEMORY]) >= 5


def test_synchrony_and_memory_differ_by_motion() -> None:
    for number in range(6):
        scene, views, frames = rendered("multi_entity", number)
        for frame in frames:
            for source in frame.sources:
                activity = scene.actors[source.actor].activity
                assert activity is not None
                view = views[frame.frame]
                hidden = view.visible(source.actor) < HIDDEN * view.whole[source.actor]
                if source.cue is Cue.SYNCHRONY:
                    assert is_moving(activity, frame.frame / RATE) and not hidden
                elif source.cue is Cue.MEMORY:
                    assert hidden or not is_moving(activity, frame.frame / RATE, MEMORY_S)


def test_a_hidden_source_has_the_cue_memory() -> None:
    scene, views, frames = rendered("single_sound")
    source = next(s.actor for f in frames for s in f.sources)
    frame = next(f.frame for f in frames)
    view = views[frame]
    rows, columns = np.nonzero(view.owner == source)
    owner = view.owner.copy()
    owner[rows[: 3 * len(rows) // 4], columns[: 3 * len(rows) // 4]] = -1
    assert cue_of(scene, source, replace(view, owner=owner), frame / RATE) is Cue.MEMORY


def test_motion_at_annotated_frames_is_balanced() -> None:
    more = []
    for kind in KINDS:
        for number in range(6):
            scene, _, frames = rendered(kind, number)
            for frame in frames:
                time_s = frame.frame / RATE
                moves = [a.activity is not None and is_moving(a.activity, time_s) for a in scene.actors]
                sources = {s.actor for s in frame.sources if s.scenario is not Scenario.OFF_SCREEN}
                others = [moves[n] for n, a in enumerate(scene.actors) if a.visible_at(time_s) and n not in sources]
                if sources and others:
                    more.append(np.mean([moves[n] for n in sources]) - np.mean(others))
    assert abs(np.mean(more)) < 0.12


def test_oracles_find_the_source_or_guess() -> None:
    right: dict[Oracle, list[bool]] = {oracle: [] for oracle in ORACLES}
    for number in range(12):
        scene, views, frames = rendered("multi_entity", number)
        for frame in frames:
            for oracle, hits in right.items():
                actor = choose(oracle, scene, frame, views[frame.frame], frame.frame / RATE, 4.0)
                hits.append(actor in {s.actor for s in frame.sources})
    assert np.mean(right["synchrony_oracle"]) >= 0.9
    assert 0.25 < np.mean(right["class_oracle"]) < 0.65
    assert np.mean(right["any_visible_object"]) < 0.5


def test_sound_of_a_source_follows_its_bursts() -> None:
    scene, _, _ = rendered("single_sound")
    source = next(a for a in scene.actors if a.audible)
    assert source.activity is not None
    wave = actor_sound(source, 4.0, MATERIALS)
    moments = np.arange(len(wave)) / 16_000
    loud = np.zeros(len(wave), bool)
    for begin, end in source.activity.audible:
        loud |= (moments >= begin) & (moments <= end)
    assert (wave[loud] ** 2).mean() > 4 * (wave[~loud] ** 2).mean()
    begin = source.activity.audible[0][0]
    assert not wave[moments < begin - 0.001].any()
    silent = next(a for a in scene.actors if not a.audible)
    assert not actor_sound(silent, 4.0, MATERIALS).any()
