"""Frames of cut-outs: upright objects with exact masks, which move in their bursts, and objects without sound."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tavlo_pl.data.synthetic.activity import is_moving
from tavlo_pl.data.synthetic.composite import OPENINGS, Composite
from tavlo_pl.data.synthetic.materials import FromFiles
from tavlo_pl.data.synthetic.version2 import draw_scene
from tests.data.synthetic.test_write import sprite_folder

SIZE, RATE = (192, 108), 12


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> FromFiles:
    folder = sprite_folder(tmp_path_factory.mktemp("sprites"))
    for number in range(5):
        image = Image.new("RGBA", (60, 90))
        ImageDraw.Draw(image).ellipse((5, 5, 55, 85), fill=(255, 40 * number, 0, 255))
        ImageDraw.Draw(image).ellipse((20, 30, 40, 50), fill=(0, 0, 0, 255))
        for file in (folder / f"class{number}").glob("*.png"):
            image.save(file)
    quiet = folder / "_silent" / "statue"
    quiet.mkdir(parents=True)
    image.save(quiet / "0.png")
    return FromFiles(str(folder), "test")


def test_masks_are_those_of_the_visible_pixels(materials: FromFiles) -> None:
    scene = draw_scene(0, "test", 1, "single_sound", materials.categories, "standard", 2.0, materials.silent, False)
    composite = Composite(scene, SIZE, 2.0, RATE, materials)
    image, view = composite.draw(6)
    assert image.shape == (108, 192, 3) and image.dtype == np.uint8
    for number in range(len(scene.actors)):
        if view.visible(number):
            assert 0 < view.visible(number) <= view.whole[number]
            red, _, blue = image[view.owner == number].mean(0)
            assert red > 90 and blue < 60  # the colours of the cut-outs


def test_objects_change_in_their_bursts_alone(materials: FromFiles) -> None:
    scene = draw_scene(0, "test", 2, "single_sound", materials.categories, "standard", 4.0)
    composite = Composite(scene, SIZE, 4.0, RATE, materials)
    for number, actor in enumerate(scene.actors):
        assert actor.activity is not None
        poses = []
        for frame in range(composite.frame_count):
            strength = float(composite._pulse[number][frame])
            assert (strength > 0.4) <= is_moving(actor.activity, frame / RATE, 0.05)
            poses.append(strength)
        assert max(poses) > 0.9 and min(poses) < 0.1


def test_warped_poses_differ_from_the_object_at_rest(materials: FromFiles) -> None:
    scene = draw_scene(0, "test", 3, "single_sound", materials.categories, "standard", 2.0)
    composite = Composite(scene, SIZE, 2.0, RATE, materials)
    for poses in composite._poses:
        rest, widest = poses(0, 1), poses(OPENINGS - 1, 1)
        assert np.abs(rest[0].astype(int) - widest[0]).mean() > 1
        assert 0.8 < widest[2].sum() / rest[2].sum() < 1.6  # opens, but stays the same object


def test_objects_without_sound_are_never_heard(materials: FromFiles, tmp_path: Path) -> None:
    assert materials.silent == ("statue",)
    seen = 0
    for number in range(12):
        scene = draw_scene(
            0, "test", number, "single_sound", materials.categories, "hard", 2.0, materials.silent, False
        )
        for actor in scene.actors:
            if actor.category == "statue":
                seen += 1
                assert not actor.audible and actor.activity is not None and actor.activity.bursts
            assert actor.activity is not None and not actor.activity.shared_ring
    assert seen > 3
