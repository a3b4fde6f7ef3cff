"""Outlines of masks."""

import numpy as np

from tavlo_pl.annotate.exchange.outlines import outlines
from tavlo_pl.data.annotations import rasterise


def test_outline_of_a_rectangle_has_four_corners() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    outer, holes = outlines(mask)
    assert [sorted(points) for points in outer] == [[(2, 1), (2, 3), (5, 1), (5, 3)]] and holes == []
    assert outlines(np.zeros((3, 3), bool)) == ([], [])


def test_outlines_rasterise_to_the_mask() -> None:
    rng = np.random.default_rng(1)
    for share in (0.2, 0.5, 0.8):
        mask = rng.random((13, 17)) < share
        outer, holes = outlines(mask)
        filled = np.zeros(mask.shape, int)
        for sign, polygons in ((1, outer), (-1, holes)):
            for points in polygons:
                filled += sign * rasterise(np.array(points, float), mask.shape)
        assert (filled == mask).all()


def test_pixels_that_touch_at_a_corner_are_apart() -> None:
    assert len(outlines(np.eye(3, dtype=bool))[0]) == 3
