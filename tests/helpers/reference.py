"""Slow reference of the metrics in NumPy, pixel by pixel, independent of the package."""

import math

import numpy as np


def inside(polygon: list[float], x: float, y: float) -> bool:
    """Whether a point lies in a flat polygon, by the number of edges to its right (even-odd rule)."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    crossings = 0
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x:
            crossings += 1
    return crossings % 2 == 1


def mask_of(polygons: list[list[float]], size: int, width: int, height: int) -> np.ndarray:
    """(size, size) bool: pixels whose centre lies in one of the polygons of a width x height image."""
    mask = np.zeros((size, size), bool)
    for row in range(size):
        for column in range(size):
            x, y = (column + 0.5) * width / size, (row + 0.5) * height / size
            mask[row, column] = any(inside(polygon, x, y) for polygon in polygons)
    return mask


def upsampled(cells: np.ndarray, size: int) -> np.ndarray:
    """(size, size) float64, bilinear between cell centres, constant beyond the outer ones."""
    out = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            y = max((row + 0.5) * cells.shape[0] / size - 0.5, 0)
            x = max((column + 0.5) * cells.shape[1] / size - 0.5, 0)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, cells.shape[0] - 1), min(left + 1, cells.shape[1] - 1)
            v, u = y - top, x - left
            upper = cells[top, left] * (1 - u) + cells[top, right] * u
            lower = cells[bottom, left] * (1 - u) + cells[bottom, right] * u
            out[row, column] = upper * (1 - v) + lower * v
    return out


def ciou(pixels: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """Computes the cIoU of the pixels at or above a threshold."""
    claimed = pixels >= threshold - 1e-9  # the package uses float32
    return float((claimed & truth).sum() / (truth.sum() + (claimed & ~truth).sum()))


def rank(pixels: np.ndarray, quantile: float) -> float:
    """The score at index floor(q N) in ascending order."""
    return float(sorted(pixels.ravel())[int(quantile * pixels.size)])
