"""Plots as SVG text to embed in a page; axes and text have the text colour of the page, dark or light.

Pure functions: the same data gives the same text. They use matplotlib without pyplot, whose figures are global state.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

TEXT_COLOUR = "#010203"
"""Placeholder for the text colour of the page; no plot uses it otherwise."""

SERIES = ("#3b82d6", "#e07b00", "#1a9e77", "#b565c9", "#8a929e", "#d6455d")
"""Colours of series that are distinguishable with common colour-vision deficiencies, on light and dark backgrounds."""

MARKERS = ("o", "s", "D")
"""Markers of series: the first for the first six colours, the next for the same colours again."""

RC_PARAMS: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar sign in a name does not start a formula
    "svg.fonttype": "none",  # text is not converted to paths
    "svg.hashsalt": "tavlo",  # ids are random otherwise
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), TEXT_COLOUR
    ),
}

THRESHOLDS = np.linspace(0, 1, 201)
"""Thresholds of success curves; their number does not depend on the number of samples."""

FEW_POINTS = 10
"""Curves with fewer points are drawn with markers."""

ROW_INCHES = 0.17
"""Height of one interval in `interval_plot`."""


def share_reaching(values: np.ndarray) -> np.ndarray:
    """(201,) shares of (N,) values that are at least each of ``THRESHOLDS``."""
    return 1 - np.searchsorted(np.sort(values), THRESHOLDS, side="left") / len(values)


class Interval(NamedTuple):
    """A value and its 95 % interval; an interval of zero width is drawn as a dot."""

    value: float
    low: float
    high: float


def success_curves(lines: Mapping[str, np.ndarray], title: str) -> str:
    """Plots the share of samples whose cIoU is at least x, for x from 0 to 1; the area under a curve is the mean cIoU.

    Args:
        lines: name -> (N,) cIoU of N > 0 samples.
        title: title of the plot.

    Returns:
        An ``<svg>`` element.
    """
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(4.0, 3.1), layout="constrained")
        axes = figure.add_subplot()
        for place, (name, values) in enumerate(lines.items()):
            label = f"{name} ({100 * values.mean():.1f})"
            dash = "--" if place >= len(SERIES) else "-"  # colours repeat
            axes.plot(
                THRESHOLDS, share_reaching(values), dash, color=SERIES[place % len(SERIES)], linewidth=1.6, label=label
            )
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="cIoU of at least", ylabel="share of samples")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(loc="upper right", title="(mean cIoU in %)", fontsize=8, title_fontsize=7)
        return _svg(figure)


def interval_plot(groups: Mapping[str, Mapping[str, Interval]], xlabel: str) -> str:
    """Plots values with their intervals, one row a group and series, the first group at the top.

    Args:
        groups: group -> series -> value, a share or a correlation; a group may lack series.
        xlabel: label of the x-axis.

    Returns:
        An ``<svg>`` element.
    """
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    step = len(series) + (1.0 if len(series) > 1 else 0.3)  # a gap between groups
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(5.2, 0.9 + ROW_INCHES * step * len(groups)), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(series):
            found = [(g * step + place, group[name]) for g, group in enumerate(groups.values()) if name in group]
            y = [row for row, _ in found]
            value, low, high = np.array([interval for _, interval in found]).T
            axes.hlines(y, low, high, SERIES[place % len(SERIES)], linewidth=2, alpha=0.7)
            marker = MARKERS[place // len(SERIES) % len(MARKERS)]
            axes.plot(value, y, marker, color=SERIES[place % len(SERIES)], markersize=4.5, label=name)
        axes.set_yticks(np.arange(len(groups)) * step + (len(series) - 1) / 2, list(groups))
        axes.axvline(0, color=TEXT_COLOUR, linewidth=0.8)  # includes zero where all values are negative
        least = min(0.0, *(interval.low for group in groups.values() for interval in group.values()))
        axes.set(xlim=(1.05 * least, None), ylim=((len(groups) - 1) * step + len(series) - 0.2, -0.8), xlabel=xlabel)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        if len(series) > 1:
            figure.legend(loc="outside upper left", ncols=3, fontsize=8)
        return _svg(figure)


def interval_curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Interval]]], xlabel: str, levels: Mapping[str, float] | None = None
) -> str:
    """Plots values with their intervals over a number: one panel a measure, one line a series.

    Args:
        panels: title -> series -> x -> value, a share; a series may lack some x.
        xlabel: label of the x-axes.
        levels: name -> value of a dashed line in every panel.

    Returns:
        An ``<svg>`` element.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    places = sorted({x for lines in panels.values() for points in lines.values() for x in points})
    step = min(np.diff(places), default=1.0)
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(0.4 + 3.5 * len(panels), 3.1), layout="constrained")
        shown = {}
        for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for name, points in lines.items():
                place = names.index(name)
                colour = SERIES[place % len(SERIES)]
                beside = 0.12 * step * (place - (len(names) - 1) / 2)  # intervals at the same x do not overlap
                x = [at + beside for at in sorted(points)]
                value, low, high = np.array([points[at] for at in sorted(points)]).T
                axes.vlines(x, low, high, colour, linewidth=1.6, alpha=0.7)
                (shown[name],) = axes.plot(x, value, "o-", color=colour, linewidth=1, markersize=3.5)
            for name, level in (levels or {}).items():
                shown[name] = axes.axhline(level, color=TEXT_COLOUR, linestyle="--", linewidth=1)
            if len(places) < FEW_POINTS:
                axes.set_xticks(places, [f"{at:+g}".replace("-", "−") if at else "0" for at in places])
            axes.set(title=title, xlabel=xlabel, ylim=(0, None))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4, fontsize=8)
        return _svg(figure)


def step_curves(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]]) -> str:
    """Plots scalars over training steps: one panel a scalar, one line a seed, one colour a name.

    Args:
        panels: scalar -> name -> (N, 2) steps and values of each seed.

    Returns:
        An ``<svg>`` element.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    with mpl.rc_context(RC_PARAMS):
        figure = Figure(figsize=(3.4 * len(panels), 3.1), layout="constrained")
        shown = {}
        for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for name, seeds in lines.items():
                place = names.index(name)
                dash = "--" if place >= len(SERIES) else "-"
                style: dict[str, Any] = {"color": SERIES[place % len(SERIES)], "linestyle": dash}
                for curve in seeds:
                    mark = "o" if len(curve) < FEW_POINTS else None
                    (shown[name],) = axes.plot(*curve.T, **style, linewidth=1.2, marker=mark, markersize=3.5)
            axes.set(title=title, xlabel="step")
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=5, fontsize=8)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """The ``<svg>`` element without XML declaration and group ids, which are not unique in a page with two plots."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = text.replace("*{stroke", "svg *{stroke")  # a style element applies to the whole page
    return text.replace(TEXT_COLOUR, "currentColor")
