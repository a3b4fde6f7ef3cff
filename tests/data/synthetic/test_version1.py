"""Scenes of version 1: draws, scenarios, and when objects sound."""

import hashlib
from collections import Counter

import pytest

from tavlo_pl.data.synthetic.appearance import CLASS_LOOKS
from tavlo_pl.data.synthetic.scene import KINDS, Kind, Scene, Split
from tavlo_pl.data.synthetic.sound import VOICES
from tavlo_pl.data.synthetic.version1 import draw_scene
from tavlo_pl.types import Scenario

CLASSES = tuple(CLASS_LOOKS)
RATE = 25


def scenes(kind: Kind | None, count: int = 40, split: Split = "test", seed: int = 0) -> list[Scene]:
    return [draw_scene(seed, split, n, kind, CLASSES, "standard", 4.0, RATE, 5) for n in range(count)]


def test_at_least_twelve_classes_have_a_look_and_a_voice() -> None:
    assert len(CLASSES) >= 12
    assert set(CLASSES) == set(VOICES)
    assert len(set(CLASS_LOOKS.values())) == len(CLASSES)


def test_no_texture_names_a_class() -> None:
    textures = Counter(texture for _, texture in CLASS_LOOKS.values())
    assert min(textures.values()) >= 2


def test_ids_have_eleven_characters_and_five_digits() -> None:
    for scene in scenes(None):
        video, _, start = scene.name.rpartition("_")
        assert len(video) == 11 and len(start) == 5 and start.isdigit()


def test_draws_depend_on_seed_split_and_number_alone() -> None:
    assert scenes("mixed_sound", 3) == scenes("mixed_sound", 3)
    assert scenes("mixed_sound", 3) != scenes("mixed_sound", 3, seed=1)
    test, train = scenes(None, 200), scenes(None, 200, split="train")
    assert not {s.background_seed for s in test} & {s.background_seed for s in train}
    looks = [{(a.look.variant, a.voice_seed) for s in split for a in s.actors} for split in (test, train)]
    assert not looks[0] & looks[1]


@pytest.mark.parametrize("kind", KINDS)
def test_scene_has_silence_or_change_and_2_to_5_objects(kind: Kind) -> None:
    for scene in scenes(kind):
        seen = [a for a in scene.actors if a.visible is not None]
        assert 2 <= len(seen) <= 5
        assert scene.annotated


def test_single_sound_has_one_audible_object_in_the_frame() -> None:
    for scene in scenes("single_sound"):
        audible = [a for a in scene.actors if a.audible]
        assert len(audible) == 1
        assert [a.category for a in scene.actors].count(audible[0].category) == 1


def test_mixed_sound_is_annotated_where_two_classes_sound() -> None:
    for scene in scenes("mixed_sound"):
        for annotated in scene.annotated:
            assert len({scene.actors[i].category for i, *_ in annotated.sources}) == 2
            assert {s.scenario for s in annotated.sources} == {Scenario.MIXED_SOUND}


def test_multi_entity_has_two_or_three_of_a_class_and_one_sounds() -> None:
    for scene in scenes("multi_entity"):
        audible = [a for a in scene.actors if a.audible]
        assert len(audible) == 1
        assert [a.category for a in scene.actors].count(audible[0].category) in (2, 3)


def test_scene_off_screen_class_is_not_visible() -> None:
    drawn = scenes("off_screen", 80)
    for scene in drawn:
        (source,) = [a for a in scene.actors if a.audible]
        assert [a.category for a in scene.actors].count(source.category) == 1
        for annotated in scene.annotated:
            visible = source.visible_at(annotated.frame / RATE)
            assert annotated.sources[0].scenario is (Scenario.SINGLE_SOUND if visible else Scenario.OFF_SCREEN)
    moving = [s for s in drawn if any(a.audible and a.visible is not None for a in s.actors)]
    assert 10 < len(moving) < 45


def test_cross_event_clips_switch_their_source() -> None:
    for scene in scenes("cross_event"):
        first, second = sorted((a for a in scene.actors if a.audible), key=lambda a: a.intervals[0])
        assert first.category != second.category
        assert first.intervals[0][1] <= second.intervals[0][0]


def test_scene_half_of_the_silent_objects_pulse() -> None:
    silent = [a for kind in KINDS for s in scenes(kind) for a in s.actors if not a.audible]
    share = sum(bool(a.intervals) for a in silent) / len(silent)
    assert 0.42 < share < 0.58
    apart = []
    for scene in scenes("multi_entity", 80):
        (source,) = [a for a in scene.actors if a.audible]
        for other in (a for a in scene.actors if not a.audible and a.intervals):
            moments = [n / 50 for n in range(200)]
            both = sum(source.sounding_at(t) and any(b <= t <= e for b, e in other.intervals) for t in moments)
            apart.append(both / sum(source.sounding_at(t) for t in moments))
    assert sum(apart) / len(apart) < 0.6


def test_annotated_moments_are_unambiguous() -> None:
    for kind in KINDS:
        for scene in scenes(kind, 20):
            for annotated in scene.annotated:
                time_s = annotated.frame / RATE
                heard = {i for i, a in enumerate(scene.actors) if a.sounding_at(time_s)}
                assert heard == {i for i, *_ in annotated.sources}


def test_version1_scenes_are_those_of_earlier_results() -> None:
    drawn = [
        (s.name, [a.category for a in s.actors], [f.frame for f in s.annotated])
        for kind in KINDS
        for s in scenes(kind, 3)
    ]
    assert (
        hashlib.sha256(repr(drawn).encode()).hexdigest()
        == "998278ccee356e07909cbfb2b36a11de4e36f8b8fbacd5a9b78d1fe63e710692"
    )
