"""Heatmaps over frames, outlines and contact sheets."""

import numpy as np
import pytest

from tavlo_pl.viz.colormap import INFERNO
from tavlo_pl.viz.overlay import OUTLINE, Scale, blend, clip_strip, contact_sheet, map_at, outline, upsample

GREY = np.full((48, 64, 3), 100, np.uint8)


def test_blend_keeps_score_zero_and_replaces_score_one() -> None:
    assert (blend(GREY, np.zeros((7, 7))) == GREY).all()
    assert (blend(GREY, np.ones((7, 7))) == INFERNO[255]).all()


@pytest.mark.parametrize("level", [51, 153, 204])
def test_blend_opacity_is_the_score(level: int) -> None:
    share = level / 255
    wanted = (1 - share) * 100 + share * INFERNO[level].astype(float)
    assert np.abs(blend(GREY, np.full((3, 5), share))[20, 30] - wanted).max() <= 1


def test_blend_places_a_cell_in_a_frame_of_another_shape() -> None:
    score = np.zeros((3, 5))
    score[2, 1] = 1  # cell 2 of 3 down, cell 1 of 5 across
    change = np.abs(blend(GREY, score).astype(int) - GREY).sum(-1)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert 32 <= row < 48
    assert 64 / 5 <= column < 128 / 5
    assert change[:14].max() == 0


def test_upsample_is_bilinear_between_cell_centres() -> None:
    cells = np.array([[0.0, 1.0]])
    assert upsample(cells, (2, 8))[0] == pytest.approx([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])


def test_scale_is_shared_by_all_segments() -> None:
    heatmap = np.stack([np.full((2, 2), 0.1), np.array([[-0.3, 0.5], [0.1, 0.1]])])
    scaled = Scale.of(heatmap)(heatmap)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert scaled[0] == pytest.approx(0.5)


def test_scale_of_a_constant_clip_is_zero() -> None:
    flat = np.full((4, 7, 7), 0.3)
    assert (Scale.of(flat)(flat) == 0).all()


@pytest.mark.parametrize(("time_s", "value"), [(0.0, 1), (0.5, 1), (1.0, 2), (1.5, 3), (2.5, 4), (9.0, 5)])
def test_map_at_interpolates_linearly_in_time(time_s: float, value: float) -> None:
    heatmap = np.array([1.0, 3.0, 5.0])[:, None, None].astype(np.float16)
    assert map_at(heatmap, np.array([0.5, 1.5, 3.5]), time_s)[0, 0] == pytest.approx(value)


def test_outline_draws_only_the_outermost_pixels_of_a_mask() -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:20, 5:15] = True
    drawn = outline(GREY, mask)
    line = (drawn == OUTLINE).all(-1)
    assert line.sum() == 4 * 10 - 4
    assert (drawn[~line] == 100).all()
    assert (GREY == 100).all(), "the input frame is not modified"
    assert not line[11:19, 6:14].any()


def test_outline_is_closed_at_the_image_border() -> None:
    drawn = outline(GREY, np.ones((48, 64), bool))
    assert (drawn[0] == OUTLINE).all()
    assert (drawn[:, -1] == OUTLINE).all()


def test_outline_of_an_empty_mask_is_empty() -> None:
    assert (outline(GREY, np.zeros((48, 64), bool)) == GREY).all()


def test_contact_sheet_has_cells_of_equal_size() -> None:
    one, small = np.full((4, 6, 3), 9, np.uint8), np.full((2, 3, 3), 7, np.uint8)
    sheet = contact_sheet([[one, one], [small]], gap=1)
    assert sheet.shape == (9, 13, 3)
    assert (sheet[:4, 7:] == 9).all()
    assert (sheet[5:7, :3] == 7).all()
    assert (sheet[4] == 0).all()
    assert (sheet[5:, 7:] == 0).all()


def test_clip_strip_outlines_the_mask_in_both_rows() -> None:
    frames = np.stack([GREY, GREY, GREY])
    heatmap = np.zeros((3, 2, 2), np.float32)
    heatmap[2] = 1
    mask = np.zeros((96, 128), bool)
    mask[20:60, 20:60] = True
    strip = clip_strip(frames, heatmap, {1: mask}, height=24)
    assert strip.shape == (24 + 2 + 24, 3 * 32 + 2 * 2, 3)
    above, below = strip[:24], strip[26:]
    assert (above[:, :32] == 100).all()
    assert (below[:, :32] == 100).all()
    assert (below[:, 68:] == INFERNO[255]).all()
    for half in (above, below):
        columns = np.nonzero((half == OUTLINE).all(-1))[1]
        assert len(columns)
        assert 34 <= columns.min() <= columns.max() < 66
