"""Masks of annotated frames."""

from dataclasses import replace

import numpy as np
import pytest

from tavlo_pl.data.annotations import AnnotatedFrame, Instance, RunLengths, box_of_mask, original_size, rasterise
from tavlo_pl.errors import ConfigError
from tavlo_pl.types import Scenario
from tests.helpers.trees import sample_of

SINGLE, MIXED, OFF = Scenario.SINGLE_SOUND, Scenario.MIXED_SOUND, Scenario.OFF_SCREEN


def frame(*instances: Instance) -> AnnotatedFrame:
    return AnnotatedFrame(0, "00000", width=8, height=4, instances=instances)


def test_a_rectangle_covers_exactly_its_pixels() -> None:
    mask = rasterise(np.array([[2, 1], [6, 1], [6, 3], [2, 3]], float), (4, 8))
    expected = np.zeros((4, 8), bool)
    expected[1:3, 2:6] = True
    assert (mask == expected).all()


def test_a_polygon_agrees_with_its_formula() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    disk = np.stack([31.3 + 20 * np.cos(angle), 25.8 + 15 * np.sin(angle)], axis=1)
    y, x = np.mgrid[:60, :64] + 0.5
    truth = ((x - 31.3) / 20) ** 2 + ((y - 25.8) / 15) ** 2 <= 1
    assert (rasterise(disk, (60, 64)) != truth).sum() <= 2
    notch = np.array([[0, 0], [8, 0], [8, 8], [4, 2], [0, 8]], float)  # concave: the notch stays empty
    assert rasterise(notch, (8, 8))[6].tolist() == [True, False, False, False, False, False, False, True]


def test_a_polygon_may_reach_beyond_the_image_and_is_never_empty() -> None:
    assert rasterise(np.array([[-9, -9], [4, -9], [4, 99], [-9, 99]], float), (4, 8)).sum() == 4 * 4
    tiny = rasterise(np.array([[5.6, 2.6], [5.9, 2.6], [5.9, 2.9]], float), (4, 8))
    assert np.argwhere(tiny).tolist() == [[2, 5]]


def test_mask_is_the_union_of_its_scenario() -> None:
    left = Instance("dog", SINGLE, polygons=((0, 0, 2, 0, 2, 4, 0, 4),))
    right = Instance("cat", SINGLE, bbox=(6, 0, 2, 4))
    other = Instance("cow", MIXED, bbox=(3, 0, 2, 4))
    annotated = frame(left, right, other)
    mask = sample_of(annotated, SINGLE).mask((8, 16))
    assert mask.shape == (8, 16)
    assert mask.all(axis=0).nonzero()[0].tolist() == [0, 1, 2, 3, 12, 13, 14, 15]
    assert sample_of(annotated, MIXED).mask((4, 8)).sum() == 8
    assert annotated.scenarios == (SINGLE, MIXED)
    assert sample_of(annotated, SINGLE).category == "cat+dog"


def test_polygons_go_before_the_box() -> None:
    both = Instance("dog", SINGLE, polygons=((0, 0, 2, 0, 2, 4, 0, 4),), bbox=(0, 0, 8, 4))
    assert sample_of(frame(both), SINGLE).mask((4, 8)).sum() == 8


def test_off_screen_is_empty_whatever_is_drawn() -> None:
    assert not sample_of(frame(Instance("dog", OFF, bbox=(0, 0, 8, 4))), OFF).mask((4, 8)).any()


def test_run_lengths_go_down_the_columns() -> None:
    rle = RunLengths(height=4, width=8, counts=(4, 6, 22))  # second column, and half of the third
    mask = sample_of(frame(Instance("dog", SINGLE, rle=rle)), SINGLE).mask((4, 8))
    assert mask.sum(axis=0).tolist() == [0, 4, 2, 0, 0, 0, 0, 0]
    assert mask[:, 2].tolist() == [True, True, False, False]
    assert rle.raster((8, 16)).sum() == 4 * 6


@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 1.0])
def test_run_lengths_of_a_part_and_their_box(density: float) -> None:
    rng = np.random.default_rng(0)
    for left, top, width, height in ((0, 0, 5, 4), (1, 0, 3, 4), (2, 1, 2, 2), (4, 3, 1, 1), (0, 2, 5, 2)):
        mask = np.zeros((4, 5), bool)
        part = rng.random((height, width)) < density
        mask[top : top + height, left : left + width] = part
        lengths = RunLengths.of_part(part, (left, top), mask.shape)
        assert lengths.raster((4, 5)).tolist() == mask.tolist()
        assert lengths.box == RunLengths.of(mask).box == (box_of_mask(mask) if mask.any() else None)
        if 0 < height < 4:  # of a whole column, two runs may stay where one would do
            assert lengths == RunLengths.of(mask)
    assert RunLengths(4, 5, (20,)).box is None and RunLengths(4, 5, (0, 20)).box == (0, 0, 5, 4)
    assert RunLengths(4, 5, (3, 0, 2, 1, 14)).box == (1, 1, 1, 1)


def test_original_size_is_that_of_all_frames() -> None:
    frames = [frame(Instance("dog", SINGLE)), frame(Instance("cat", SINGLE))]
    assert original_size(frames) == (frames[0].height, frames[0].width)
    with pytest.raises(ConfigError, match="no one size"):
        original_size([frames[0], replace(frames[1], height=99)])
    with pytest.raises(ConfigError, match="none stated"):
        original_size([replace(frames[0], height=1, width=1)])
