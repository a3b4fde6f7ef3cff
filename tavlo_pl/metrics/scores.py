"""From what is known of each sample to the figures of a test set, and to its per-sample table."""

from typing import Any, NamedTuple

import numpy as np
import torch

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import ceiling, ciou_at_50, ciou_auc, ciou_mean
from tavlo_pl.metrics.functional.thresholds import Rule
from tavlo_pl.metrics.per_sample import Table
from tavlo_pl.types import SCENARIOS, Scenario

CROSS_EVENT = "cross_event"
ON_SCREEN = "on_screen"


class Scores(NamedTuple):
    """What is known of each of n samples, in ascending order of index.

    Attributes:
        table: ``sample_id``, ``clip`` (a number), ``scenario`` (a number), ``category``, ``cross_event`` and
            ``area`` (pixels of the ground truth), each (n,).
        rows: names of the R rows: the model's, then the trivial ones.
        rules: the K rules of cIoU.
        off_screen_rule: the rule of off-screen samples.
        pixels: of a map at the evaluation size.
        ciou: (n, R, K) float64, NaN for off-screen samples.
        below: (n, R) float64, share of pixels below the row's universal threshold, NaN on-screen and
            where no on-screen sample gives a threshold.
        threshold: universal threshold of each row; empty where none was needed or none could be found.
    """

    table: Table
    rows: list[str]
    rules: list[Rule]
    off_screen_rule: str
    pixels: int
    ciou: np.ndarray
    below: np.ndarray
    threshold: dict[str, float]


def scenario_figures(scores: Scores) -> dict[str, Any]:
    """Figures of AVATAR's four scenarios, ``cross_event`` and ``on_screen``; none where there are no samples.

    Returns:
        name -> ``samples``, ``clips``, ``rows`` (row -> rule -> figures) and, on-screen, ``ceiling`` (rule ->
        figures).
    """
    scenario = scores.table["scenario"]
    on_screen = scenario != Scenario.OFF_SCREEN.id
    groups = {str(name): scenario == name.id for name in SCENARIOS if name != Scenario.OFF_SCREEN}
    groups |= {CROSS_EVENT: on_screen & (scores.table["cross_event"] > 0), ON_SCREEN: on_screen}
    figures = {name: _on_screen(scores, chosen) for name, chosen in groups.items() if chosen.any()}
    if not on_screen.all():
        figures[str(Scenario.OFF_SCREEN)] = _off_screen(scores, ~on_screen)
    return figures


def sample_rows(scores: Scores) -> list[dict[str, Any]]:
    """One flat row a sample; see `LocalizationSuite.samples`."""
    table = scores.table
    columns: dict[str, list[Any]] = {
        "sample_id": table["sample_id"].tolist(),
        "clip": [sample_id.rsplit("/", 2)[0] for sample_id in table["sample_id"]],
        "scenario": [str(SCENARIOS[int(number)]) for number in table["scenario"]],
        "category": table["category"].tolist(),
        "cross_event": table["cross_event"].tolist(),
        "area": (table["area"] / scores.pixels).tolist(),
    }
    for r, row in enumerate(scores.rows):
        for k, rule in enumerate(scores.rules):
            columns[f"{row}/{rule.name}"] = _or_none(scores.ciou[:, r, k])
        columns[f"{row}/{scores.off_screen_rule}"] = _or_none(scores.below[:, r])
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _on_screen(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    clip, values = scores.table["clip"][chosen], scores.ciou[chosen]
    low, high = bootstrap_interval(values.reshape(len(clip), -1), clip).reshape(2, *values.shape[1:])
    rows: dict[str, dict[str, Any]] = {row: {} for row in scores.rows}
    for r, row in enumerate(scores.rows):
        for k, rule in enumerate(scores.rules):
            interval = [float(low[r, k]), float(high[r, k])]
            rows[row][rule.name] = _figures(values[:, r, k]) | {"ciou_mean_interval": interval}
    area = torch.from_numpy(scores.table["area"][chosen])
    limits = {rule.name: _figures(ceiling(area, scores.pixels, rule).numpy()) for rule in scores.rules}
    return {"samples": len(clip), "clips": len(np.unique(clip)), "rows": rows, "ceiling": limits}


def _off_screen(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    clip, below = scores.table["clip"][chosen], scores.below[chosen]
    known = not np.isnan(below).any()
    interval = bootstrap_interval(below, clip)
    rows = {
        row: {
            scores.off_screen_rule: {
                "tn_rate": float(below[:, r].mean()) if known else None,
                "tn_rate_interval": interval[:, r].tolist() if known else None,
            }
        }
        for r, row in enumerate(scores.rows)
    }
    return {"samples": len(clip), "clips": len(np.unique(clip)), "rows": rows}


def _figures(values: np.ndarray) -> dict[str, float]:
    return {"ciou_at_50": ciou_at_50(values), "ciou_mean": ciou_mean(values), "ciou_auc": ciou_auc(values)}


def _or_none(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
