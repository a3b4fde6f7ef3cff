"""Temporal attention as a picture: which frames of the clip a place in the picture looks at."""

import numpy as np

from tavlo_pl.viz.overlay import Scale, blend, contact_sheet, outline, resize, resize_mask

DIMMEST = 0.15
"""Brightness of a frame that is not looked at; one that is looked at most has 1."""


def attention_sheet(frames: np.ndarray, heatmap: np.ndarray, weights: np.ndarray, height: int) -> np.ndarray:
    """One row a segment: its frame with the heatmap, then all frames, each as bright as it is attended to.

    The token of row t is the cell where the map of segment t is highest; it is outlined in the frame at the left.

    Args:
        frames: (T, H, W, 3) uint8 RGB, one a segment.
        heatmap: (T, h, w) raw scores; one scale for the clip.
        weights: (hw, T, T) of one block: row t of a cell holds how much it takes from each segment, and sums to 1.
        height: of one picture, in pixels.

    Returns:
        (T · height + gaps, (T + 1) · width + gaps, 3) uint8 RGB.
    """
    scores = Scale.of(heatmap)(heatmap)
    small = [resize(frame, height) for frame in frames]
    rows = []
    for segment, score in enumerate(scores):
        cell = int(heatmap[segment].argmax())
        place = (np.arange(heatmap[segment].size) == cell).reshape(score.shape)
        asking = outline(blend(small[segment], score), resize_mask(place, small[segment].shape[:2]))
        share = weights[cell, segment] / weights[cell, segment].max()
        rows.append([asking, *((DIMMEST + (1 - DIMMEST) * s) * frame for s, frame in zip(share, small, strict=True))])
    return contact_sheet([[picture.astype(np.uint8) for picture in row] for row in rows])
