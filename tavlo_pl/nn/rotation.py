"""Rotation of pictures and of their maps by the same angle."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def rotate(pictures: Tensor, angles_deg: Tensor) -> Tensor:
    """Turns each picture about its middle, counter-clockwise as it is seen; bilinear, zero where nothing was.

    Args:
        pictures: (N, C, H, W), square: a map of another number of cells turns in the same way.
        angles_deg: (N,).

    Returns:
        (N, C, H, W).
    """
    angles = angles_deg.to(pictures).deg2rad()
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # where each new pixel comes from; rows point down, so turning back is a clockwise turn of these axes
    rows = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    grid = affine_grid(rows, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, align_corners=False)
