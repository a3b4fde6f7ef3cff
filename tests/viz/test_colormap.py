import numpy as np

from tavlo_pl.viz.colormap import INFERNO, to_level


def test_inferno_begins_black_ends_pale_yellow_and_grows_brighter_all_the_way() -> None:
    brightness = INFERNO @ np.array([0.299, 0.587, 0.114])
    assert INFERNO[0].tolist() == [0, 0, 4]
    assert INFERNO[255].tolist() == [252, 255, 164]
    assert (np.diff(brightness) > 0).all()


def test_levels_are_rounded_and_clipped() -> None:
    assert to_level(np.array([-1.0, 0.0, 0.4999, 0.5, 1.0, 7.0])).tolist() == [0, 0, 127, 128, 255, 255]
