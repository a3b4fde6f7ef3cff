"""Measured values of each sample of a test set, and the groups of samples that figures are computed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tavlo_pl.metrics.figure import ALL, CROSS_EVENT, OFF_SCREEN, ON_SCREEN
from tavlo_pl.metrics.functional.thresholds import Rule
from tavlo_pl.metrics.per_sample import Table
from tavlo_pl.types import SCENARIOS, Scenario

SIZE_EDGES = {"small": (32 / 224) ** 2, "medium": (96 / 224) ** 2, "large": (144 / 224) ** 2, "huge": 1.0}
"""Largest share of the image of each source size: SLAVC's 32², 96² and 144² of 224² pixels."""

MANY_SOURCES = 3
"""Samples with this many sources or more are one group."""


@dataclass(frozen=True)
class Samples:
    """n samples in ascending order of index.

    Attributes:
        info: columns (n,): ``index``, ``clip`` (a number), ``on_screen``, ``off_screen`` (bool), ``time_s``,
            ``category``, ``area`` (ground-truth pixels that are not 0) and ``weight`` (their sum); of a suite also
            ``sample_id``, ``scenarios`` (n, 4), ``cross_event``, ``sources`` and ``cue``.
        measured: column -> row -> (n, ...) float64, values of each sample; NaN for samples that a metric does not apply
            to. A row is the model, the model with mismatched audio, or a baseline.
        rows: the given rows, the model first, then the baselines.
        rules: the K threshold rules; the second axis of ``ciou``.
        off_screen_rule: the rule with one threshold for the whole run.
        pixels: of a map at the evaluation size.
    """

    info: Table
    measured: dict[str, dict[str, np.ndarray]]
    rows: Sequence[str]
    rules: Sequence[Rule]
    off_screen_rule: str
    pixels: int

    def __len__(self) -> int:
        return len(self.info["index"])

    @property
    def clip(self) -> np.ndarray:
        """(n,) int64, the video of each sample."""
        return self.info["clip"]

    @property
    def on_screen(self) -> np.ndarray:
        """(n,) bool, whether a sounding source is visible."""
        return self.info["on_screen"].astype(bool)

    @property
    def off_screen(self) -> np.ndarray:
        """(n,) bool, whether a sounding source is not visible; a frame can have sources of both kinds."""
        return self.info["off_screen"].astype(bool)

    def select(self, chosen: np.ndarray) -> "Samples":
        """Selects samples, by (n,) bool or by position."""
        return replace(
            self,
            info={name: values[chosen] for name, values in self.info.items()},
            measured={
                name: {row: values[chosen] for row, values in rows.items()} for name, rows in self.measured.items()
            },
        )

    def add(self, columns: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Adds measured columns, or replaces rows of them."""
        for name, rows in columns.items():
            self.measured.setdefault(name, {}).update(rows)


def scenario_groups(samples: Samples) -> dict[str, np.ndarray]:
    """Name -> (n,) bool: AVATAR's scenarios, ``cross_event``, ``on_screen``, ``off_screen`` and ``all``."""
    scenarios, on_screen = samples.info["scenarios"].astype(bool), samples.on_screen
    groups = {str(name): scenarios[:, name.id] & on_screen for name in SCENARIOS if name != Scenario.OFF_SCREEN}
    groups |= {CROSS_EVENT: on_screen & (samples.info["cross_event"] > 0), ON_SCREEN: on_screen}
    return groups | {OFF_SCREEN: samples.off_screen, ALL: np.ones_like(on_screen)}


def breakdown_groups(samples: Samples) -> dict[str, dict[str, np.ndarray]]:
    """Kind -> name -> (n,) bool: on-screen samples by ``category``, ``size``, number of ``sources`` and ``cue``.

    A sample of several categories or cues belongs to each of them; for sizes see ``SIZE_EDGES``.
    """
    info, on_screen = samples.info, samples.on_screen
    groups: dict[str, dict[str, np.ndarray]] = {"category": {}, "size": {}, "sources": {}, "cue": {}}
    for kind in ("category", "cue"):
        members: dict[str, list[int]] = {}
        for place in np.flatnonzero(on_screen).tolist():
            for name in info[kind][place].split("+"):
                members.setdefault(name, []).append(place)
        for name in sorted(members.keys() - {""}):
            groups[kind][name] = np.isin(np.arange(len(on_screen)), members[name])
    size = np.searchsorted(list(SIZE_EDGES.values()), info["area"] / samples.pixels, side="left")
    for number, name in enumerate(SIZE_EDGES):
        groups["size"][name] = on_screen & (size == number)
    for number in range(1, MANY_SOURCES + 1):
        name = f"{number}+" if number == MANY_SOURCES else str(number)
        groups["sources"][name] = on_screen & (info["sources"].clip(1, MANY_SOURCES) == number)
    return groups


def sample_lines(
    samples: Samples, columns: Sequence[Mapping[str, Mapping[str, np.ndarray]]], name_parts: int
) -> list[dict[str, Any]]:
    """One flat line a sample; see `LocalizationSuite.samples`.

    Args:
        samples: of the whole set.
        columns: of each metric, column -> row -> (n,) float64.
        name_parts: number of parts that a sample's name has after that of the clip, at most.
    """
    info = samples.info
    lines: dict[str, list[Any]] = {
        "sample_id": info["sample_id"].tolist(),
        "clip": [sample_id.rsplit("/", name_parts)[0] for sample_id in info["sample_id"]],
        "scenario": [
            "+".join(str(name) for name, member in zip(SCENARIOS, members, strict=True) if member)
            for members in info["scenarios"]
        ],
        "category": info["category"].tolist(),
        "cue": info["cue"].tolist(),
        "cross_event": info["cross_event"].tolist(),
        "time_s": info["time_s"].tolist(),
        "sources": info["sources"].tolist(),
        "area": (info["area"] / samples.pixels).tolist(),
    }
    found: dict[str, dict[str, np.ndarray]] = {}
    for each in columns:
        for column, rows in each.items():
            for row, values in rows.items():
                found.setdefault(row, {})[column] = values
    for row, by_column in found.items():
        for column, values in by_column.items():
            lines[f"{row}/{column}"] = [None if np.isnan(value) else float(value) for value in values]
    return [dict(zip(lines, values, strict=True)) for values in zip(*lines.values(), strict=True)]
