"""The look-up table of the inferno colormap."""

import numpy as np
from matplotlib import colormaps

from tavlo_pl.viz.colormap import INFERNO, colour, to_level


def test_inferno_equals_matplotlib_and_rises_in_brightness() -> None:
    wanted = 255 * colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]
    assert np.abs(INFERNO - wanted).max() <= 0.5
    assert INFERNO[0].tolist() == [0, 0, 4] and INFERNO[255].tolist() == [252, 255, 164]
    assert (np.diff(INFERNO @ np.array([0.299, 0.587, 0.114])) > 0).all()


def test_colour_adds_an_axis_of_rgb() -> None:
    drawn = colour(np.array([[0.0, 1.0]]))
    assert drawn.dtype == np.uint8
    assert drawn.tolist() == [[[0, 0, 4], [252, 255, 164]]]


def test_to_level_rounds_and_clips() -> None:
    assert to_level(np.array([-1.0, 0.0, 0.4999, 0.5, 1.0, 7.0])).tolist() == [0, 0, 127, 128, 255, 255]
