"""Temporal attention as an image: the weights of a cell of one segment over all segments of the clip."""

import numpy as np

from tavlo_pl.viz.overlay import Scale, blend, contact_sheet, outline, resize, resize_mask

DIMMEST = 0.15
"""Brightness of a frame with weight 0; the frame with the highest weight has brightness 1."""


def attention_sheet(frames: np.ndarray, heatmap: np.ndarray, weights: np.ndarray, height: int) -> np.ndarray:
    """Draws one row a segment: its frame with the heatmap, then all frames with their attention weight as brightness.

    The query of row t is the cell with the highest score of segment t; it is outlined in the frame at the left.

    Args:
        frames: (T, H, W, 3) uint8 RGB, one a segment.
        heatmap: (T, h, w) raw scores; one scale for the clip.
        weights: (hw, T, T) attention weights of one block; row t of a cell sums to 1 over the segments.
        height: of one image, in pixels.

    Returns:
        (T · height + gaps, (T + 1) · width + gaps, 3) uint8 RGB.
    """
    scores = Scale.of(heatmap)(heatmap)
    small = [resize(frame, height) for frame in frames]
    rows = []
    for segment, score in enumerate(scores):
        cell = int(heatmap[segment].argmax())
        mask = (np.arange(heatmap[segment].size) == cell).reshape(score.shape)
        query = outline(blend(small[segment], score), resize_mask(mask, small[segment].shape[:2]))
        share = weights[cell, segment] / weights[cell, segment].max()
        rows.append([query, *((DIMMEST + (1 - DIMMEST) * s) * frame for s, frame in zip(share, small, strict=True))])
    return contact_sheet([[image.astype(np.uint8) for image in row] for row in rows])
