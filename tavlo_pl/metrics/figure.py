"""What the metrics print: named figures with a unit, a direction and a place in the tables.

`LocalizationSuite.compute` writes these descriptions beside the values, under ``figures``. Tables, ``tavlo score`` and
``tavlo report`` loop over them, so that none of them names a metric.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tavlo_pl.types import Scenario

Unit = Literal["percent", "seconds", "count", "raw"]

MODEL_ROW = "model"
"""The row of the evaluated model in every table; the other rows are mismatched audio and the baselines."""

MISMATCHED_ROW = "mismatched_audio"
"""The row of the model with the audio of another clip."""

CROSS_EVENT = "cross_event"
"""The group of on-screen samples of clips whose sounding source changes."""

ON_SCREEN = "on_screen"
"""The group of all samples with a visible source."""

OFF_SCREEN = str(Scenario.OFF_SCREEN)
"""The group of all samples without a visible source."""

ALL = "all"
"""The group of all samples."""

TN_RATE = "tn_rate"
"""The share of an off-screen frame's pixels below the threshold: name of the metric, its figure and its column."""

FORMATS: Mapping[Unit, Callable[[float], str]] = {
    "percent": lambda value: f"{100 * value:.1f}",
    "seconds": lambda value: f"{value:.2f}",
    "count": lambda value: f"{value:.0f}",
    "raw": lambda value: f"{value:.3f}",
}


@dataclass(frozen=True)
class Figure:
    """One value that a metric reports.

    The fields from `metric` on are filled in by `LocalizationMetric.described_figures`.

    Attributes:
        name: key in ``results.json``; ``<name>_interval`` beside it is the 95 % interval, if there is one.
        label: words in tables; without it the figure is in ``results.json`` alone.
        unit: how the value is formatted.
        higher_is_better: direction.
        main: whether it is in the cells of the main table, and not in the table of further metrics; for samples with a
            visible source the protocol decides.
        note: sentence below the tables that show the figure; ``{rule}`` stands for the threshold rule.
        column: column of ``per_sample.csv`` without the row's name, if the figure is a mean over that column;
            ``{rule}`` stands for the threshold rule. Such figures are compared between two runs.
        at_least: the figure is the share of samples whose value reaches this one, not their mean.
        needs_time: whether the annotated moments must be known in seconds.
        metric: name of the metric.
        group: group of samples whose value the tables show.
        universal: whether the threshold is the one of the whole run.
        mismatched: whether the rows are mismatched audio, which the tables show as lines of the model.
    """

    name: str
    label: str = ""
    unit: Unit = "percent"
    higher_is_better: bool = True
    main: bool = False
    note: str = ""
    column: str = ""
    at_least: float | None = None
    needs_time: bool = False
    metric: str = ""
    group: str = ""
    universal: bool = False
    mismatched: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def rule(self, metrics: Mapping[str, Any]) -> str:
        """The key of the threshold rule under which the results have the value that tables show.

        Args:
            metrics: what `LocalizationSuite.compute` returns.
        """
        return str(metrics["off_screen_rule"] if self.universal else metrics["rules"][0])

    def of_samples(self, values: np.ndarray) -> np.ndarray:
        """float64 of the shape of the values: what of each sample's value in `column` is averaged to the figure."""
        return values if self.at_least is None else (values >= self.at_least).astype(np.float64)

    def to_text(self, values: Mapping[str, Any]) -> str:
        """The value, and half of its 95 % interval if there is one, in the figure's unit.

        Args:
            values: the values of one row under one rule; they hold this figure.
        """
        write, interval = FORMATS[self.unit], values.get(f"{self.name}_interval")
        text = write(values[self.name])
        return text if interval is None else f"{text} ±{write((interval[1] - interval[0]) / 2)}"


def read_figures(metrics: Mapping[str, Any]) -> Sequence[Figure]:
    """The descriptions beside the values of `LocalizationSuite.compute`, in the order of the metrics."""
    return [Figure(**fields) for fields in metrics["figures"]]
