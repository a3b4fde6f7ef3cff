"""Frames and audio of a scene: what sounds moves with its sound, masks are what is seen."""

import numpy as np
import pytest

from tavlo_pl.data.synthetic.appearance import SPRITE_PX
from tavlo_pl.data.synthetic.difficulty import LEVELS
from tavlo_pl.data.synthetic.materials import Procedural
from tavlo_pl.data.synthetic.render import Renderer, actor_sound, mix_sound
from tavlo_pl.data.synthetic.scene import Kind, Scene
from tavlo_pl.data.synthetic.version1 import draw_scene

MATERIALS = Procedural()
SIZE, DURATION_S, RATE = (192, 108), 4.0, 25


def rendered(kind: Kind, number: int = 0) -> tuple[Scene, Renderer, list[np.ndarray]]:
    scene = draw_scene(0, "test", number, kind, MATERIALS.categories, "standard", DURATION_S, RATE, 5)
    sounds = [actor_sound(a, DURATION_S, MATERIALS) for a in scene.actors]
    return scene, Renderer(scene, LEVELS["standard"], SIZE, DURATION_S, RATE, sounds, MATERIALS), sounds


def test_frames_are_the_same_every_time() -> None:
    _, one, _ = rendered("mixed_sound")
    _, two, _ = rendered("mixed_sound")
    assert one.frame_count == 100
    assert np.array_equal(one.draw(37)[0], two.draw(37)[0])
    assert not np.array_equal(one.draw(37)[0], one.draw(38)[0])


def test_a_sounding_object_is_larger_than_when_it_is_silent() -> None:
    larger = []
    for number in range(12):
        scene, renderer, _ = rendered("single_sound", number)
        source = next(i for i, a in enumerate(scene.actors) if a.audible)
        areas = np.array([(renderer.draw(f)[1].owner == source).sum() for f in range(0, 100, 4)])
        heard = np.array([scene.actors[source].sounding_at(f / RATE, 0.1) for f in range(0, 100, 4)])
        larger.append(areas[heard].mean() / areas[~heard].mean())
    assert np.median(larger) > 1.15


def test_masks_are_where_the_object_is_painted() -> None:
    scene, renderer, _ = rendered("single_sound")
    frame, view = renderer.draw(50)
    owner = view.owner
    assert frame.shape == (108, 192, 3) and owner.shape == (108, 192)
    assert set(np.unique(owner)) <= {-1, *range(len(scene.actors))}
    for actor in scene.actors:
        x, y, _ = actor.position(2.0)
        number = scene.actors.index(actor)
        rows, columns = np.nonzero(owner == number)
        assert abs(columns.mean() - x * 192) < 15 and abs(rows.mean() - y * 108) < 15


def test_an_off_screen_object_owns_no_pixel() -> None:
    scene, renderer, _ = rendered("off_screen", 1)
    source = next(i for i, a in enumerate(scene.actors) if a.audible)
    for annotated in scene.annotated:
        if not scene.actors[source].visible_at(annotated.frame / RATE):
            assert not (renderer.draw(annotated.frame)[1].owner == source).any()


def test_sound_is_silent_outside_the_intervals_and_never_clips() -> None:
    scene, _, sounds = rendered("single_sound")
    source = next(i for i, a in enumerate(scene.actors) if a.audible)
    moments = np.arange(len(sounds[source])) / 16_000
    inside = np.zeros(len(moments), bool)
    for begin, end in scene.actors[source].intervals:
        inside |= (moments >= begin - 1e-3) & (moments <= end + 1e-3)
    assert not sounds[source][~inside].any()
    mixed = mix_sound(scene, sounds)
    assert mixed.dtype == np.float32 and np.abs(mixed).max() <= 0.951


def test_a_silent_pulser_is_not_heard() -> None:
    for number in range(30):
        scene, _, sounds = rendered("multi_entity", number)
        pulsers = [i for i, a in enumerate(scene.actors) if not a.audible and a.intervals]
        if pulsers:
            muted = [np.zeros_like(s) if i in pulsers else s for i, s in enumerate(sounds)]
            assert np.array_equal(mix_sound(scene, sounds), mix_sound(scene, muted))
            return
    pytest.fail("no clip has a silent pulser")


@pytest.mark.parametrize("category", MATERIALS.categories)
def test_sprites_fill_their_circle_and_no_more(category: str) -> None:
    scene = draw_scene(0, "test", 0, "single_sound", MATERIALS.categories, "standard", DURATION_S, RATE, 5)
    alpha = np.asarray(MATERIALS.sprite(category, scene.actors[0].look).getchannel("A")) > 127
    axis = (np.arange(SPRITE_PX) + 0.5) / SPRITE_PX * 2 - 1
    distance = np.hypot(*np.meshgrid(axis, axis))
    assert alpha.any() and not alpha[distance > 1.0].any()
    assert distance[alpha].max() > 0.85
