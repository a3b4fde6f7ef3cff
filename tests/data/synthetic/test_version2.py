"""Scenes of version 2: every object moves by the same distribution, and the kinds have the sources they should have."""

from itertools import pairwise

import numpy as np
import pytest

from tavlo_pl.data.synthetic.activity import audible_spans, draw_bursts, is_moving, pulse, sound_envelope
from tavlo_pl.data.synthetic.annotate import MEMORY_S
from tavlo_pl.data.synthetic.appearance import CLASS_LOOKS
from tavlo_pl.data.synthetic.scene import KINDS, Activity, Actor, Kind, Scene, Split
from tavlo_pl.data.synthetic.version2 import draw_scene

CLASSES = tuple(CLASS_LOOKS)
TIMES_S = np.arange(0, 4, 0.02)


def scenes(kind: Kind | None, count: int = 40, split: Split = "test", seed: int = 0) -> list[Scene]:
    return [draw_scene(seed, split, n, kind, CLASSES, "standard", 4.0) for n in range(count)]


def activity_of(actor: Actor) -> Activity:
    assert actor.activity is not None
    return actor.activity


def test_version2_draws_depend_on_their_key() -> None:
    assert scenes("mixed_sound", 3) == scenes("mixed_sound", 3)
    assert scenes("mixed_sound", 3) != scenes("mixed_sound", 3, seed=1)
    names = [{s.name for s in scenes(None, 30, split=split)} for split in ("train", "val", "test")]
    assert len(set.union(*names)) == 90


@pytest.mark.parametrize("kind", KINDS)
def test_version2_objects_all_move(kind: Kind) -> None:
    for scene in scenes(kind):
        visible = [a for a in scene.actors if a.visible is not None]
        assert 3 <= len(visible) <= 5 if kind == "off_screen" else 3 <= len(visible) <= 4
        assert all(len(activity_of(a).bursts) >= 2 for a in visible)


def test_version2_silent_objects_move_as_much() -> None:
    actors = [a for kind in KINDS for s in scenes(kind, 24) for a in s.actors]
    shares = [
        np.mean([pulse(activity_of(a).bursts, TIMES_S).mean() for a in actors if a.audible == audible])
        for audible in (True, False)
    ]
    assert abs(shares[0] - shares[1]) < 0.03


def test_version2_sources_rest_while_heard() -> None:
    moving = [
        is_moving(activity_of(a), t)
        for kind in KINDS
        for s in scenes(kind, 16)
        for a in s.actors
        for t in TIMES_S[::5]
        if a.sounding_at(t)
    ]
    others = [is_moving(activity_of(a), t) for s in scenes(None, 20) for a in s.actors for t in TIMES_S[::5]]
    assert abs(np.mean(moving) - np.mean(others)) < 0.06


def test_version2_equal_objects_move_unlike() -> None:
    found = []
    for scene in scenes("multi_entity", 30):
        (source,) = [a for a in scene.actors if a.audible]
        equal = [a for a in scene.actors if a.category == source.category]
        assert len(equal) in (2, 3)
        own = pulse(activity_of(source).bursts, TIMES_S)
        found += [np.corrcoef(own, pulse(activity_of(a).bursts, TIMES_S))[0, 1] for a in equal if a is not source]
    assert abs(np.mean(found)) < 0.1
    assert np.max(np.abs(found)) < 0.6


def test_version2_off_screen_twins() -> None:
    twins = []
    for scene in scenes("off_screen", 90):
        (source,) = [a for a in scene.actors if a.audible]
        twins.append(any(a.category == source.category for a in scene.actors if a is not source))
    assert 0.22 < np.mean(twins) < 0.45


def test_version2_cross_event_takes_turns() -> None:
    for scene in scenes("cross_event"):
        first, second = sorted((a for a in scene.actors if a.audible), key=lambda a: activity_of(a).audible[:1])
        assert first.category != second.category
        for actor in (first, second):
            bursts = activity_of(actor).bursts
            assert bursts[0][1] < 1.6 and bursts[-1][0] > 2.4
        if activity_of(first).audible and activity_of(second).audible:
            assert activity_of(first).audible[-1][1] <= activity_of(second).audible[0][0]


def test_bursts_do_not_overlap_and_avoid_correlation() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one = draw_bursts(rng, 4.0, [])
        assert all(a[1] < b[0] for a, b in pairwise(one))
        other = draw_bursts(rng, 4.0, [one])
        assert abs(np.corrcoef(pulse(one, TIMES_S), pulse(other, TIMES_S))[0, 1]) < 0.5


def test_sound_rings_on_after_a_burst() -> None:
    activity = Activity(bursts=((0.5, 1.0), (3.0, 3.5)), audible=((0.5, 1.0),), ring_s=0.5, shared_ring=False)
    level = sound_envelope(activity, np.array([0.4, 0.7, 1.2, 3.2]))
    assert level[0] == 0 and level[1] == 1 and 0.3 < level[2] < 0.6
    ((begin, end),) = audible_spans(activity)
    assert begin == 0.5
    assert sound_envelope(activity, np.array([end]))[0] == pytest.approx(0.1)
    assert is_moving(activity, 0.7) and not is_moving(activity, 1.3) and is_moving(activity, 3.2)
    assert is_moving(activity, 1.3, margin_s=0.3) and is_moving(activity, 0.3, margin_s=0.3)


def test_a_damped_sound_stops() -> None:
    activity = Activity(((0.5, 1.0),), ((0.5, 1.0),), ring_s=1.0, shared_ring=False, damped_s=1.5)
    assert audible_spans(activity) == ((0.5, 1.5),)
    assert np.array_equal(sound_envelope(activity, np.array([0.7, 1.4, 1.6])) > 0, [True, True, False])


def test_pauses_are_long_enough_for_memory() -> None:
    rng = np.random.default_rng(0)
    pauses = [b[0] - a[1] for _ in range(50) for a, b in pairwise(draw_bursts(rng, 4.0, []))]
    assert 0.08 < np.mean(np.array(pauses) > 2 * MEMORY_S) < 0.3
