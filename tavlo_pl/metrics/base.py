"""The base of every metric of the suite: its name, the samples that it applies to, and its computation.

A new metric is one file with a subclass of `LocalizationMetric` and one line in `tavlo_pl.metrics.suite.METRICS`. For
the mean of a value that is measured for each map, the file is as short as this (with a function that has a name,
because a model is pickled with its metrics)::

    def top_score(maps: EvaluatedMaps) -> Tensor:
        return maps.preds.amax(1).double()

    class TopScore(LocalizationMetric):
        name = "top_score"
        higher_is_better = True
        figures = (Figure("top_score", label="highest score", unit="raw", column="top_score"),)
        columns = (Column("top_score", top_score),)

``results.json``, ``per_sample.csv``, the tables, ``tavlo score`` and ``tavlo report`` then have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.metrics.figure import ALL, MODEL_ROW, OFF_SCREEN, ON_SCREEN, Figure
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.protocols import Interpolation, Protocol, Size
from tavlo_pl.metrics.recorder import Column, KeptMaps, SampleRecorder
from tavlo_pl.metrics.samples import Samples

Values = dict[str, Any]
"""Figures of one row by name, and their intervals as ``<name>_interval``, as plain values; a figure that is not defined
for the samples is absent."""

Summary = dict[str, dict[str, Values]]
"""Row -> threshold rule -> values. The rule is `EVERY_RULE` where the values do not depend on it."""

Measured = Mapping[str, Mapping[str, np.ndarray]]
"""Column -> row -> (n, ...) values."""

EVERY_RULE = ""


class LocalizationMetric(SampleRecorder):
    """A torchmetrics class, exact over processes, and one entry of the suite.

    The suite uses the class: it measures the `columns` of all its metrics once for each map, calls `measure_kept` with
    all maps and `summarize` with each group of samples. Alone, `update` and `compute` do the same for one row.

    Attributes:
        name: of the metric. By default it is the mean of the measured column of this name.
        figures: what it reports.
        higher_is_better: direction of the first figure.
        columns: what it measures when a batch arrives.
        applies_to: the samples that it is computed on.
        groups: the groups of samples that it is reported for; empty for every group of such samples.
        universal: whether it uses one threshold for the whole run, which needs all maps.
        mismatched: whether its rows are the mismatched audio.
        by_default: whether the suite includes it by default.

    Args:
        rule: threshold rule; metrics that use none ignore it.
        size: (height, width) of the evaluation in pixels.
        interpolation: from cells to pixels.
    """

    name: ClassVar[str]
    figures: ClassVar[tuple[Figure, ...]]
    columns: ClassVar[tuple[Column, ...]] = ()
    applies_to: ClassVar[Literal["on_screen", "off_screen", "all"]] = "on_screen"
    groups: ClassVar[tuple[str, ...]] = ()
    universal: ClassVar[bool] = False
    mismatched: ClassVar[bool] = False
    by_default: ClassVar[bool] = True

    def __init__(
        self, rule: str = "top_tenth", size: Size = (224, 224), interpolation: Interpolation = "bilinear"
    ) -> None:
        rules, off_screen_rule = ((), rule) if self.universal else ((rule,), "universal:0.9")
        protocol = Protocol("one metric", size, interpolation, "nearest", rules, off_screen_rule)
        super().__init__(self.columns, protocol, keep_maps=self.universal)

    def update(
        self,
        preds: Tensor,
        target: Tensor,
        index: Tensor,
        clip: Tensor | None = None,
        time_s: Tensor | None = None,
        category: Sequence[str] | None = None,
    ) -> None:
        """Adds N samples.

        Args:
            preds: (N, h, w) raw scores; h and w the same in all updates.
            target: (N, H, W) bool, pixels of the sounding source, empty where it is off-screen; or float32
                weights.
            index: (N,) int64, unique over the data set.
            clip: (N,) int64, the video of each sample; by default each sample is a video of its own.
            time_s: (N,) float64, presentation time of the frame; by default 0.
            category: N strings, the sounding categories joined by ``+``; by default empty.

        Raises:
            ConfigError: the ground truth has another size, or weights under a universal rule.
        """
        self.check_target(target)
        self.record_row(preds, target, target.flatten(1).any(1), index, clip, time_s, category)

    def record_row(
        self,
        preds: Tensor | Mapping[str, Tensor],
        target: Tensor,
        on_screen: Tensor,
        index: Tensor,
        clip: Tensor | None = None,
        time_s: Tensor | None = None,
        category: Sequence[str] | None = None,
    ) -> None:
        """`record` with the defaults of `update`."""
        rows = {MODEL_ROW: preds} if isinstance(preds, Tensor) else preds
        self.record(
            {row: maps.float() for row, maps in rows.items()},
            target,
            on_screen,
            ~on_screen,
            index,
            clip=index if clip is None else clip,
            time_s=torch.zeros(len(index), dtype=torch.float64) if time_s is None else time_s,
            category=[""] * len(index) if category is None else list(category),
        )

    def compute(self) -> Values:
        """The figures and their 95 % intervals by video over all processes; every process must call it.

        Returns:
            by name; empty where no sample defines them.
        """
        samples, _ = self.gather_row((MODEL_ROW,))
        summary = self.summarize(samples)
        return next((values for by_rule in summary.values() for values in by_rule.values()), {})

    def gather_row(self, rows: Sequence[str]) -> tuple[Samples, KeptMaps | None]:
        """The samples that the metric applies to, with all that is measured of them, and the maps of all samples."""
        samples, kept = self.gather_samples(rows)
        if kept is not None:
            samples.add(self.measure_kept(samples, kept))
        chosen = {"on_screen": samples.on_screen, "off_screen": samples.off_screen}.get(self.applies_to)
        return (samples if chosen is None else samples.select(chosen)), kept

    @classmethod
    def measure_kept(cls, samples: Samples, kept: KeptMaps) -> Measured:  # noqa: ARG003  # a hook without effect
        """Columns that need the maps of all samples, such as those at the threshold of the whole run.

        Args:
            samples: all samples.
            kept: their maps.
        """
        return {}

    @classmethod
    def summarize(cls, samples: Samples) -> Summary:
        """The figures of a group of samples, all of the kind that the metric applies to.

        By default each figure is the mean over the measured column with the metric's name, or the share of its values
        that reach `Figure.at_least`. Samples without a value are left out.
        """
        rows = samples.measured.get(cls.name, {})
        if not rows:
            return {}
        values = np.stack(list(rows.values()), 1)
        known = ~np.isnan(values).any(1)
        rule = samples.off_screen_rule if cls.universal else EVERY_RULE
        if not known.any():
            return {row: {rule: {}} for row in rows}
        each = [figure.of_samples(values) for figure in cls.figures]
        flat = np.concatenate([found[known] for found in each], 1)
        weight = cls.weights(samples.select(known))
        intervals = bootstrap_interval(flat, samples.clip[known], weight).reshape(2, len(each), len(rows))
        summary: Summary = {}
        for r, row in enumerate(rows):
            found_values: Values = {}
            for f, figure in enumerate(cls.figures):
                found_values[figure.name] = float(np.average(each[f][known, r], weights=weight))
                found_values[f"{figure.name}_interval"] = intervals[:, f, r].tolist()
            summary[row] = {rule: found_values}
        return summary

    @classmethod
    def weights(cls, samples: Samples) -> np.ndarray | None:  # noqa: ARG003  # a hook without effect
        """(n,) float64 weights of the samples in the mean; None for equal weights."""
        return None

    @classmethod
    def ceiling(cls, samples: Samples) -> dict[str, Values]:  # noqa: ARG003  # a hook without effect
        """Threshold rule -> the highest values that any map can reach under the rule, for a group of samples."""
        return {}

    @classmethod
    def sample_columns(cls, samples: Samples) -> Measured:
        """Columns of the metric in ``per_sample.csv``: column -> row -> (n,) values."""
        return {cls.name: samples.measured[cls.name]} if cls.name in samples.measured else {}

    @classmethod
    def reports(cls, group: str, *, breakdown: bool = False) -> bool:
        """Whether the metric is reported for a group of `scenario_groups`, or for one of `breakdown_groups`."""
        if cls.groups:
            return group in cls.groups and not breakdown
        on_screen = breakdown or group not in (OFF_SCREEN, ALL)
        return cls.applies_to == ("on_screen" if on_screen else group)

    @classmethod
    def described_figures(cls) -> list[Figure]:
        """The figures with the fields that tables need."""
        group = cls.groups[0] if cls.groups else {"on_screen": ON_SCREEN}.get(cls.applies_to, cls.applies_to)
        return [
            replace(figure, metric=cls.name, group=group, universal=cls.universal, mismatched=cls.mismatched)
            for figure in cls.figures
        ]
