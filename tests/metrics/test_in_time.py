import numpy as np
import pytest

from tavlo_pl.metrics.functional.in_time import blend_in_time


def test_blend_is_linear_between_two_maps_and_constant_outside() -> None:
    times_s = np.array([0.5, 1.5, 2.5])
    at_s = np.array([0.0, 0.5, 0.75, 1.5, 2.0, 2.5, 9.0])
    blend = blend_in_time(times_s, at_s)
    assert blend.first.tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert blend.second.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert blend.weight.tolist() == [0.0, 0.0, 0.25, 0.0, 0.5, 0.0, 0.0]
    values = np.array([1.0, 5.0, -3.0])
    found = (1 - blend.weight) * values[blend.first] + blend.weight * values[blend.second]
    assert found == pytest.approx(np.interp(at_s, times_s, values))


def test_blend_of_one_map_and_of_equal_times() -> None:
    assert [part.tolist() for part in blend_in_time(np.array([2.0]), np.array([0.0, 2.0, 3.0]))] == [
        [0, 0, 0],
        [0, 0, 0],
        [0.0, 0.0, 0.0],
    ]
    blend = blend_in_time(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 0.5]))
    assert blend.first.tolist() == [2, 0] and blend.second.tolist() == [2, 1]
