"""Variance of the Laplacian, and the selection by it."""

import numpy as np
import pytest

from tavlo_pl.annotate.sharpness import sharpest, sharpness


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    impulse = np.zeros((1, 5, 5, 3), np.uint8)
    impulse[0, 2, 2] = 100  # Laplacian of the inner 3 x 3 pixels: -400 once, 100 four times, 0 four times
    expected = np.var([-400, 100, 100, 100, 100, 0, 0, 0, 0])
    assert sharpness(impulse) == pytest.approx(expected, rel=1e-4)
    assert sharpness(np.full((2, 4, 4, 3), 90, np.uint8)) == pytest.approx([0, 0], abs=1e-6)


def test_sharpest_frames_are_apart() -> None:
    times_s = [0.0, 0.1, 0.2, 1.0, 1.1]
    assert sharpest([5, 9, 8, 1, 2], times_s, 2, 0.5) == [1, 4]
    assert sharpest([5, 9, 8, 1, 2], times_s, 2, 0.0) == [1, 2]
    assert sharpest([5, 9, 8, 1, 2], times_s, 9, 1.01) == [1]
