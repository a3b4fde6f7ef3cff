"""Peak, box and visibility of the source for heatmaps with known values."""

import json
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.predict.sources import Localization, best_sounds, moments_of, peak_places

SIZE = (70, 140)  # 10 x 20 pixels a cell
TIMES_S = np.array([0.5, 1.5])


def two_maps() -> np.ndarray:
    """A source of two cells and a separate one of lower score in the first map; no source in the second."""
    maps = np.full((2, 7, 7), -0.5, np.float16)
    maps[0, 2, 1:3] = 0.5, 0.625
    maps[0, 5, 6] = 0.5
    return maps


def test_moments_of_gives_peak_and_box_in_pixels() -> None:
    first, second = moments_of(two_maps(), TIMES_S, SIZE, 0.25)
    assert (first.time_s, first.score, first.visible) == (0.5, 0.625, True)
    # parabola through 0.5, 0.625 and -0.5: 0.4 cells to the left of the centre of the highest cell
    assert (first.x, first.y) == (pytest.approx(42), pytest.approx(25))
    left, top, right, bottom = first.box  # type: ignore[misc]
    # bilinear: from -0.5 to 0.5 the score reaches 0.25 three quarters of the way between two centres
    assert (left, right) == (pytest.approx(25, abs=3), pytest.approx(55, abs=3))
    assert (top, bottom) == (pytest.approx(22, abs=2), pytest.approx(28, abs=2))
    assert (second.visible, second.box) == (False, None)


def test_moments_of_boxes_the_region_connected_to_the_peak() -> None:
    joined = two_maps()
    joined[0, 2, 3:] = joined[0, 3:5, 6] = 0.5
    box = moments_of(joined, TIMES_S, SIZE, 0.25)[0].box
    assert box is not None and box[2] > 130 and box[3] > 50


@pytest.mark.parametrize("cells", [7, 14, 42, 200])
def test_boxes_of_any_number_of_cells_span_the_region(cells: int) -> None:
    """Two quarters of the map that touch at a corner, and a third one apart from them, of lower score."""
    maps, half, eighth = np.full((1, cells, cells), -1, np.float32), cells // 2, max(1, cells // 8)
    maps[0, :half, :half] = maps[0, half:-eighth, half:] = 0.75
    maps[0, -1, 0] = 0.5
    moment = moments_of(maps, TIMES_S[:1], (1000, 1000), -0.9)[0]
    low = 1000 * (cells - eighth) / cells
    assert moment.box == pytest.approx((0, 0, 1000, low), abs=1000 / cells)


def test_moments_of_without_threshold_leaves_visibility_open() -> None:
    assert {(moment.box, moment.visible) for moment in moments_of(two_maps(), TIMES_S, SIZE, None)} == {(None, None)}


@pytest.mark.parametrize(("x", "y"), [(3.5, 2.5), (3.8, 2.1), (4.45, 3.05)])
def test_peak_places_lie_between_cells(x: float, y: float) -> None:
    rows, columns = np.mgrid[:7, :9] + 0.5
    smooth = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4).astype(np.float32)
    assert peak_places(smooth[None])[0] == pytest.approx([x / 9, y / 7], abs=0.05 / 9)


def test_peak_places_at_the_edge_are_centres_of_cells() -> None:
    maps = np.zeros((2, 3, 4), np.float32)
    maps[0, 0, 3] = 1
    assert peak_places(maps).tolist() == [[3.5 / 4, 0.5 / 3], [0.5 / 4, 0.5 / 3]]


def test_to_json_contains_summary_and_steps() -> None:
    found = Localization('a"</script>', Path("a.mp4"), 2.0, SIZE, TIMES_S, two_maps(), 0.25)
    assert found.best == found.moments[0] and found.moment_at(1.2) == found.moments[1]
    content = json.loads(found.to_json({"checkpoint": None}))
    assert content["sample_id"] == 'a"</script>' and content["visible_share"] == 0.5
    assert [step["visible"] for step in content["steps"]] == [True, False]
    assert content["steps"][1]["box"] is None and content["steps"][0]["peak"] == pytest.approx([42, 25])
    assert (
        json.loads(Localization("a", Path("a.mp4"), 2.0, SIZE, TIMES_S, two_maps(), None).to_json({}))["visible_share"]
        is None
    )


def test_sounds_are_named_best_first() -> None:
    scores = np.array([[0.1, 0.9, 0.3, 0.2], [0.5, 0.0, 0.25, 0.5]], np.float32)
    sounds = best_sounds(scores, ["bell", "engine", "rain", "wind"])
    assert [[sound.name for sound in row] for row in sounds] == [["engine", "rain", "wind"], ["bell", "wind", "rain"]]
    assert best_sounds(np.zeros((2, 0), np.float32), []) == ()
    found = Localization("a", Path("a.mp4"), 2.0, SIZE, TIMES_S, two_maps().astype(np.float32), None, sounds)
    steps = json.loads(found.to_json({}))["steps"]
    assert steps[1]["sounds"] == [["bell", 0.5], ["wind", 0.5], ["rain", 0.25]]
