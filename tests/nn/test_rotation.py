"""Rotation of images."""

import torch

from tavlo_pl.nn.rotation import rotate


def test_rotate_by_90_degrees_is_counter_clockwise() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    assert torch.allclose(rotate(image, torch.tensor([90.0])), image.rot90(1, (2, 3)), atol=1e-5)


def test_rotate_uses_one_angle_per_image_and_pads_with_zeros() -> None:
    images = torch.ones(2, 1, 8, 8)
    unchanged, rotated = rotate(images, torch.tensor([0.0, 45.0]))
    assert torch.allclose(unchanged, images[0], atol=1e-5)
    assert rotated[0, 0, 0] == 0 and torch.isclose(rotated[0, 4, 4], torch.tensor(1.0), atol=1e-5)
