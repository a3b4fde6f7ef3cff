"""The image of temporal attention."""

import numpy as np

from tavlo_pl.viz.attention import DIMMEST, attention_sheet


def test_attention_sheet_brightness_is_the_attention_weight() -> None:
    frames = np.full((2, 10, 10, 3), 200, np.uint8)
    heatmap = np.zeros((2, 2, 2))
    heatmap[0, 0, 1] = heatmap[1, 1, 0] = 1
    weights = np.full((4, 2, 2), 0.5)
    weights[1, 0] = [0.8, 0.2]  # the query of segment 0 has four times the weight on frame 0
    weights[2, 1] = [0.0, 1.0]
    sheet = attention_sheet(frames, heatmap, weights, height=10)
    shown = [[sheet[y * 12 + 5, x * 12 + 5, 0] for x in (1, 2)] for y in (0, 1)]
    dimmest = DIMMEST * 200
    quarter = (DIMMEST + (1 - DIMMEST) / 4) * 200
    assert np.abs(np.array(shown, float) - [[200, quarter], [dimmest, 200]]).max() <= 1
