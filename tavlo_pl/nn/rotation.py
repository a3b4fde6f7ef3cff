"""Rotation of images and of their score maps by the same angle."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def rotate(images: Tensor, angles_deg: Tensor) -> Tensor:
    """Rotates each image about its centre, counter-clockwise; bilinear, zero outside the image.

    Args:
        images: (N, C, H, W), square; H is arbitrary, so that score maps are rotated like the images.
        angles_deg: (N,).

    Returns:
        (N, C, H, W).
    """
    angles = angles_deg.to(images).deg2rad()
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # maps each output pixel to its source; row indices grow downwards, so the inverse rotation is clockwise here
    rows = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = affine_grid(rows, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)
