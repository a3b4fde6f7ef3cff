"""Pictures and maps turn together."""

import torch

from tavlo_pl.nn.rotation import rotate


def test_a_quarter_turn_is_counter_clockwise() -> None:
    picture = torch.arange(9.0).view(1, 1, 3, 3)
    assert torch.allclose(rotate(picture, torch.tensor([90.0])), picture.rot90(1, (2, 3)), atol=1e-5)


def test_each_picture_has_its_own_angle_and_corners_become_black() -> None:
    pictures = torch.ones(2, 1, 8, 8)
    still, turned = rotate(pictures, torch.tensor([0.0, 45.0]))
    assert torch.allclose(still, pictures[0], atol=1e-5)
    assert turned[0, 0, 0] == 0 and torch.isclose(turned[0, 4, 4], torch.tensor(1.0), atol=1e-5)
