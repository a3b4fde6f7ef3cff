"""Plots read back as XML."""

from xml.etree import ElementTree

import numpy as np
import pytest

from tavlo_pl.viz.plots import (
    SERIES,
    TEXT_COLOUR,
    THRESHOLDS,
    Interval,
    interval_curves,
    interval_plot,
    share_reaching,
    step_curves,
    success_curves,
)

GROUPS = {
    "dog": {"model": Interval(0.5, 0.4, 0.6), "disk": Interval(0.1, 0.1, 0.1)},
    "cat & <mouse>": {"model": Interval(0.2, 0.1, 0.3)},
}


def words(svg: str) -> list[str]:
    return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def test_share_reaching_decreases_at_each_value() -> None:
    share = share_reaching(np.array([0.2, 0.5, 0.5, 1.0]))
    at = {round(float(x), 3): y for x, y in zip(THRESHOLDS, share, strict=True)}
    assert (at[0.0], at[0.2], at[0.205], at[0.5], at[0.505], at[1.0]) == (1, 1, 0.75, 0.75, 0.25, 0.25)


def test_success_curve_area_is_the_mean() -> None:
    values = np.random.default_rng(0).random(1000)
    assert np.trapezoid(share_reaching(values), THRESHOLDS) == pytest.approx(values.mean(), abs=1e-3)


def test_success_curves_label_lines_with_the_mean() -> None:
    shown = words(success_curves({"model": np.array([0.25, 0.75]), "disk": np.zeros(3)}, "single_sound"))
    assert {"single_sound", "model (50.0)", "disk (0.0)"} <= set(shown)


def test_success_curves_size_is_independent_of_sample_count() -> None:
    rng = np.random.default_rng(0)
    few, many = (success_curves({"model": rng.random(count)}, "t") for count in (500, 50_000))
    assert len(many) < 1.2 * len(few)


def test_interval_plot_has_all_groups_and_values() -> None:
    svg = interval_plot(GROUPS, "mean cIoU")
    assert {"dog", "cat & <mouse>", "model", "disk", "mean cIoU"} <= set(words(svg))
    assert svg.count("<use") >= 3


def test_interval_curves_have_all_series_places_and_levels() -> None:
    lines = {
        "all": {-2.0: Interval(0.2, 0.1, 0.3), 1.0: Interval(0.4, 0.3, 0.5)},
        "some": {0.0: Interval(0.3, 0.3, 0.3)},
    }
    svg = interval_curves({"pointing": lines, "cIoU": {"all": lines["all"]}}, "pieces − T", {"chance": 0.1})
    shown = words(svg)
    assert {"pointing", "cIoU", "all", "some", "chance", "−2", "0", "+1", "0%"} <= set(shown)
    assert shown.count("pieces − T") == 2 and TEXT_COLOUR not in svg


def test_series_with_the_same_colour_have_other_markers() -> None:
    svg = interval_plot({"dog": {str(n): Interval(0.5, 0.4, 0.6) for n in range(8)}}, "pointing")
    markers = [e for e in ElementTree.fromstring(svg).iter() if e.get("id") and SERIES[0] in e.get("style", "")]
    assert len({e.get("d") for e in markers}) == 2


def test_interval_plot_includes_negative_values() -> None:
    shown = words(interval_plot({"dog": {"model": Interval(-0.5, -0.6, -0.4)}}, "correlation"))
    assert {"−60%", "0%"} <= set(shown)
    assert "−60%" not in words(interval_plot(GROUPS, "mean cIoU"))


def test_plots_use_the_text_colour_and_are_deterministic() -> None:
    for svg in (success_curves({"a": np.array([0.5])}, "t"), interval_plot(GROUPS, "x")):
        assert "currentColor" in svg and TEXT_COLOUR not in svg
        assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert interval_plot(GROUPS, "x") == interval_plot(GROUPS, "x")


def test_step_curves_label_each_name_once() -> None:
    seeds = [np.array([[4, 0.1], [9, 0.4]]), np.array([[4, 0.2], [9, 0.3]])]
    shown = words(
        step_curves(
            {"train/retrieval": {"published": seeds, "recommended": seeds}, "val/ciou_mean": {"recommended": seeds}}
        )
    )
    assert [shown.count(name) for name in ("train/retrieval", "val/ciou_mean", "recommended")] == [1, 1, 1]
