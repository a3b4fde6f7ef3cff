import numpy as np
import pytest

from tavlo_pl.data import segments


def test_draws_fall_inside_their_segments_and_fill_them() -> None:
    rng = np.random.default_rng(0)
    moments = np.stack([segments.draw(3, 10.0, rng) for _ in range(500)])
    found = [[segments.segment_of(moment, 3, 10.0) for moment in row] for row in moments]
    assert found == [[0, 1, 2]] * 500
    inside = moments % (10 / 3)
    assert np.allclose(np.diff(moments, axis=1), 10 / 3)  # at equal distances
    assert inside.min() < 0.05
    assert inside.max() > 10 / 3 - 0.05


def test_a_draw_at_the_very_end_stays_inside() -> None:
    class Largest:
        def random(self) -> float:
            return float(np.nextafter(1.0, 0.0))

    moments = segments.draw(7, 10.0, Largest())  # type: ignore[arg-type]
    assert (moments < segments.edges(7, 10.0)[1:]).all()


@pytest.mark.parametrize(
    ("time_s", "segment"),
    [
        (0.0, 0),
        (0.999, 0),
        (1.0, 1),
        (1.0 - 1e-9, 1),
        (9.99, 9),
        (10.0, None),
        (10.5, None),
        (-0.1, None),
        (-1e-9, 0),
    ],
)
def test_segment_of(time_s: float, segment: int | None) -> None:
    assert segments.segment_of(time_s, 10, 10.0) == segment


def test_centres_lie_in_the_middle() -> None:
    assert segments.centres(4, 2.0).tolist() == [0.25, 0.75, 1.25, 1.75]


def test_passes_show_each_frame_once_and_no_segment_twice() -> None:
    assert segments.plan_passes([0, 0, 3, 0, 3]) == [{0: 0, 3: 2}, {0: 1, 3: 4}, {0: 3}]
    assert segments.plan_passes([]) == [{}]


def test_column_centres_lie_in_the_middle_of_equal_shares() -> None:
    assert segments.column_centres(4, 40).tolist() == [5, 15, 25, 35]
    uneven = segments.column_centres(3, 10)
    assert np.abs(uneven - np.array([10, 30, 50]) / 6).max() <= 0.5
