"""Outlines of a mask: polygons along the edges of its pixels, which rasterise to the same mask."""

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]


def outlines(mask: NDArray[np.bool_]) -> tuple[list[list[Point]], list[list[Point]]]:
    """Outer outlines and outlines of holes of an (H, W) mask, as corners (x, y) in pixels.

    Pixels that touch at a corner only belong to two outlines.
    """
    following: dict[Point, list[Point]] = {}
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    edges = (  # of a pixel (x, y): where the neighbour is empty, clockwise around the pixel
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for neighbour, start, end in edges:
        for y, x in np.argwhere(inside & ~neighbour).tolist():
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    outer: list[list[Point]] = []
    holes: list[list[Point]] = []
    while following:
        points = _follow(following)
        x, y = np.array(points, float).T
        area = float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
        (outer if area > 0 else holes).append(points)
    return outer, holes


def _follow(following: dict[Point, list[Point]]) -> list[Point]:
    """Removes one closed outline from the edges; returns its corners."""
    start = next(iter(following))
    points: list[Point] = []
    here, direction = start, (0, 0)
    while True:
        ends = following[here]
        turns = [_turn(direction, (end[0] - here[0], end[1] - here[1])) for end in ends]
        end = ends.pop(turns.index(max(turns)))
        if not ends:
            del following[here]
        ahead = (end[0] - here[0], end[1] - here[1])
        if ahead != direction:
            points.append(here)
        here, direction = end, ahead
        if here == start:
            break
    if len(points) > 1 and _turn(direction, (points[1][0] - points[0][0], points[1][1] - points[0][1])) == 0:
        points.pop(0)  # the outline started in the middle of an edge
    return points


def _turn(before: Point, after: Point) -> int:
    """Above 0 for a turn to the right, with y downwards."""
    return before[0] * after[1] - before[1] * after[0]
