"""Plots read back as XML."""

from xml.etree import ElementTree

import numpy as np
import pytest

from tavlo_pl.viz.plots import INK, THRESHOLDS, Interval, interval_plot, share_reaching, step_curves, success_curves

GROUPS = {
    "dog": {"model": Interval(0.5, 0.4, 0.6), "disk": Interval(0.1, 0.1, 0.1)},
    "cat & <mouse>": {"model": Interval(0.2, 0.1, 0.3)},
}


def words(svg: str) -> list[str]:
    return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def test_the_share_falls_at_each_value() -> None:
    share = share_reaching(np.array([0.2, 0.5, 0.5, 1.0]))
    at = {round(float(x), 3): y for x, y in zip(THRESHOLDS, share, strict=True)}
    assert (at[0.0], at[0.2], at[0.205], at[0.5], at[0.505], at[1.0]) == (1, 1, 0.75, 0.75, 0.25, 0.25)


def test_the_area_below_a_success_curve_is_the_mean() -> None:
    values = np.random.default_rng(0).random(1000)
    assert np.trapezoid(share_reaching(values), THRESHOLDS) == pytest.approx(values.mean(), abs=1e-3)


def test_curves_name_their_lines_with_the_mean() -> None:
    shown = words(success_curves({"model": np.array([0.25, 0.75]), "disk": np.zeros(3)}, "single_sound"))
    assert {"single_sound", "model (50.0)", "disk (0.0)"} <= set(shown)


def test_many_samples_make_no_bigger_plot() -> None:
    rng = np.random.default_rng(0)
    few, many = (success_curves({"model": rng.random(count)}, "t") for count in (500, 50_000))
    assert len(many) < 1.2 * len(few)


def test_interval_plots_have_a_line_a_group_and_a_dot_a_figure() -> None:
    svg = interval_plot(GROUPS, "mean cIoU")
    assert {"dog", "cat & <mouse>", "model", "disk", "mean cIoU"} <= set(words(svg))
    assert svg.count("<use") >= 3


def test_a_figure_below_zero_is_inside_the_axes() -> None:
    shown = words(interval_plot({"dog": {"model": Interval(-0.5, -0.6, -0.4)}}, "correlation"))
    assert {"−60%", "0%"} <= set(shown)
    assert "−60%" not in words(interval_plot(GROUPS, "mean cIoU"))


def test_plots_take_the_colour_of_the_page_and_are_the_same_each_time() -> None:
    for svg in (success_curves({"a": np.array([0.5])}, "t"), interval_plot(GROUPS, "x")):
        assert "currentColor" in svg and INK not in svg
        assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert interval_plot(GROUPS, "x") == interval_plot(GROUPS, "x")


def test_curves_over_steps_name_each_line_once() -> None:
    seeds = [np.array([[4, 0.1], [9, 0.4]]), np.array([[4, 0.2], [9, 0.3]])]
    shown = words(
        step_curves({"train/retrieval": {"leaky": seeds, "honest": seeds}, "val/ciou_mean": {"honest": seeds}})
    )
    assert [shown.count(name) for name in ("train/retrieval", "val/ciou_mean", "honest")] == [1, 1, 1]
