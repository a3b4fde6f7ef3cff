"""From what is known of each sample to the figures of a test set, and to its per-sample table."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import auc_of_each, ceiling, ciou_at_50, ciou_auc, ciou_mean, scene_minimum
from tavlo_pl.metrics.functional.slavc import detection_figures
from tavlo_pl.metrics.functional.thresholds import Rule
from tavlo_pl.metrics.functional.video import delay_figures, share_of_clip, switches
from tavlo_pl.metrics.per_sample import Table
from tavlo_pl.types import SCENARIOS, Scenario

CROSS_EVENT = "cross_event"
ON_SCREEN = "on_screen"

SIZE_EDGES = {"small": (32 / 224) ** 2, "medium": (96 / 224) ** 2, "large": (144 / 224) ** 2, "huge": 1.0}
"""Largest share of the picture of each source size: SLAVC's 32², 96² and 144² of 224² pixels."""

MANY_SOURCES = 3
"""So many sources or more are one group."""

PER_SAMPLE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ciou_at_50": lambda values: (values >= 0.5).astype(np.float64),
    "ciou_mean": lambda values: values,
    "ciou_auc": auc_of_each,
}
"""Each figure as the mean of something of each sample, for its interval."""


class Scores(NamedTuple):
    """What is known of each of n samples, in ascending order of index.

    Attributes:
        table: ``sample_id``, ``clip`` (a number), ``scenario`` (a number), ``category``, ``cross_event``, ``time_s``,
            ``sources``, ``area`` (pixels of the ground truth) and ``weight`` (their sum), each (n,).
        rows: names of the R rows: the G given ones, then the trivial ones.
        rules: the K rules of cIoU.
        off_screen_rule: the rule of off-screen samples.
        pixels: of a map at the evaluation size.
        ciou: (n, R, K) float64, NaN for off-screen samples.
        pointing: (n, R) float64, how much of the map's peak lies on the source, NaN for off-screen samples.
        confidence: (n, G) float64, SLAVC's confidence that something in the picture sounds.
        below: (n, R) float64, share of pixels below the row's universal threshold, NaN on-screen and
            where no on-screen sample gives a threshold.
        threshold: universal threshold of each row; empty where none was needed or none could be found.
        pairs: (M, 2) neighbouring off-screen moments of a clip.
        stability: (M, R) float64, share of pixels that stay on their side of the threshold.
    """

    table: Table
    rows: list[str]
    rules: list[Rule]
    off_screen_rule: str
    pixels: int
    ciou: np.ndarray
    pointing: np.ndarray
    confidence: np.ndarray
    below: np.ndarray
    threshold: dict[str, float]
    pairs: np.ndarray
    stability: np.ndarray


def scenario_figures(scores: Scores) -> dict[str, Any]:
    """Figures of AVATAR's four scenarios, ``cross_event`` and ``on_screen``; none where there are no samples.

    Returns:
        name -> ``samples``, ``clips``, ``rows`` (row -> rule -> figures); on-screen also ``ceiling`` (rule -> figures),
        cross-event also ``switch_delay`` (row -> figures) if a source gives way to another.
    """
    scenario = scores.table["scenario"]
    on_screen = is_on_screen(scores)
    groups = {str(name): scenario == name.id for name in SCENARIOS if name != Scenario.OFF_SCREEN}
    groups |= {CROSS_EVENT: on_screen & (scores.table["cross_event"] > 0), ON_SCREEN: on_screen}
    figures = {name: on_screen_figures(scores, chosen) for name, chosen in groups.items() if chosen.any()}
    if CROSS_EVENT in figures:
        figures[CROSS_EVENT] |= _switch_delay(scores, groups[CROSS_EVENT])
    if not on_screen.all():
        figures[str(Scenario.OFF_SCREEN)] = _off_screen(scores, ~on_screen)
    return figures


def breakdown(scores: Scores) -> dict[str, Any]:
    """Figures of the on-screen samples by ``category``, ``size`` (see ``SIZE_EDGES``) and number of ``sources``.

    A sample of several categories counts in each.

    Returns:
        kind -> group -> as in `scenario_figures`.
    """
    table, on_screen = scores.table, is_on_screen(scores)
    chosen: dict[str, dict[str, np.ndarray]] = {"category": {}, "size": {}, "sources": {}}
    members: dict[str, list[int]] = {}
    for place in np.flatnonzero(on_screen).tolist():
        for name in table["category"][place].split("+"):
            members.setdefault(name, []).append(place)
    for name in sorted(members.keys() - {""}):
        chosen["category"][name] = np.isin(np.arange(len(on_screen)), members[name])
    size = np.searchsorted(list(SIZE_EDGES.values()), table["area"] / scores.pixels, side="left")
    for number, name in enumerate(SIZE_EDGES):
        chosen["size"][name] = on_screen & (size == number)
    for number in range(1, MANY_SOURCES + 1):
        name = f"{number}+" if number == MANY_SOURCES else str(number)
        chosen["sources"][name] = on_screen & (table["sources"].clip(1, MANY_SOURCES) == number)
    return {
        kind: {name: on_screen_figures(scores, group) for name, group in groups.items() if group.any()}
        for kind, groups in chosen.items()
    }


def detection(scores: Scores) -> dict[str, Any]:
    """SLAVC's figures of the given rows, row -> rule -> ``ap``, ``max_f1``, ``loc_acc``; empty without negatives."""
    on_screen, clip = is_on_screen(scores), scores.table["clip"]
    if on_screen.all() or not on_screen.any():
        return {}
    return {
        row: {
            rule.name: detection_figures(scores.ciou[:, r, k], scores.confidence[:, r], on_screen, clip)
            for k, rule in enumerate(scores.rules)
        }
        for r, row in enumerate(scores.rows[: scores.confidence.shape[1]])
    }


def scenes(scores: Scores) -> dict[str, Any]:
    """IIoU and IAUC over the frames with several on-screen samples; empty where no frame has two.

    Returns:
        ``scenes`` (their number) and ``rows`` (row -> rule -> ``iiou``, ``iauc`` and their intervals).
    """
    chosen = np.flatnonzero(is_on_screen(scores))
    frame = np.stack([scores.table["clip"][chosen], scores.table["time_s"][chosen]], 1)
    _, scene, size = np.unique(frame, axis=0, return_inverse=True, return_counts=True)
    several = size[scene] > 1
    if not several.any():
        return {}
    chosen, scene = chosen[several], scene[several]
    values = scene_minimum(scores.ciou[chosen], scene)
    _, first = np.unique(scene, return_index=True)
    figures = _rule_figures(scores, values, scores.table["clip"][chosen][first])
    renamed = {"ciou_at_50": "iiou", "ciou_at_50_interval": "iiou_interval"}
    renamed |= {"ciou_auc": "iauc", "ciou_auc_interval": "iauc_interval"}
    rows = {
        row: {rule: {new: found[old] for old, new in renamed.items()} for rule, found in by_rule.items()}
        for row, by_rule in figures.items()
    }
    return {"scenes": len(values), "rows": rows}


def sample_rows(scores: Scores) -> list[dict[str, Any]]:
    """One flat row a sample; see `LocalizationSuite.samples`."""
    table = scores.table
    columns: dict[str, list[Any]] = {
        "sample_id": table["sample_id"].tolist(),
        "clip": [sample_id.rsplit("/", 2)[0] for sample_id in table["sample_id"]],
        "scenario": [str(SCENARIOS[int(number)]) for number in table["scenario"]],
        "category": table["category"].tolist(),
        "cross_event": table["cross_event"].tolist(),
        "time_s": table["time_s"].tolist(),
        "sources": table["sources"].tolist(),
        "area": (table["area"] / scores.pixels).tolist(),
    }
    for r, row in enumerate(scores.rows):
        by_rule = {rule.name: scores.ciou[:, r, k] for k, rule in enumerate(scores.rules)}
        for name, values in by_rule.items():
            columns[f"{row}/{name}"] = _or_none(values)
        columns[f"{row}/pointing"] = _or_none(scores.pointing[:, r])
        if r < scores.confidence.shape[1]:
            columns[f"{row}/confidence"] = _or_none(scores.confidence[:, r])
        below = scores.below[:, r]  # NaN on-screen, where the same rule may have a cIoU
        below = np.where(np.isnan(below), by_rule.get(scores.off_screen_rule, below), below)
        columns[f"{row}/{scores.off_screen_rule}"] = _or_none(below)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def is_on_screen(scores: Scores) -> np.ndarray:
    """(n,) bool."""
    on_screen: np.ndarray = scores.table["scenario"] != Scenario.OFF_SCREEN.id
    return on_screen


def on_screen_figures(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    """Figures of the on-screen samples among n that are chosen, (n,) bool; at least one is."""
    clip = scores.table["clip"][chosen]
    rows = _rule_figures(scores, scores.ciou[chosen], clip)
    clips, pointing = share_of_clip(scores.pointing[chosen], clip)
    interval = bootstrap_interval(pointing, clips)
    for r, row in enumerate(scores.rows):
        for figures in rows[row].values():
            figures["pointing"] = float(pointing[:, r].mean())
            figures["pointing_interval"] = interval[:, r].tolist()
    area, weight = (torch.from_numpy(scores.table[name][chosen]) for name in ("area", "weight"))
    limits = {rule.name: _figures(ceiling(area, scores.pixels, rule, weight).numpy()) for rule in scores.rules}
    return {"samples": len(clip), "clips": len(clips), "rows": rows, "ceiling": limits}


def _rule_figures(scores: Scores, values: np.ndarray, clip: np.ndarray) -> dict[str, dict[str, Any]]:
    """row -> rule -> figures and their intervals, of (N, R, K) cIoU."""
    each = np.stack([of_each(values) for of_each in PER_SAMPLE.values()])  # (figures, N, R, K)
    flat = np.moveaxis(each, 1, 0).reshape(len(clip), -1)
    intervals = bootstrap_interval(flat, clip).reshape(2, len(PER_SAMPLE), *values.shape[1:])
    rows: dict[str, dict[str, Any]] = {row: {} for row in scores.rows}
    for r, row in enumerate(scores.rows):
        for k, rule in enumerate(scores.rules):
            ranges = {f"{name}_interval": intervals[:, f, r, k].tolist() for f, name in enumerate(PER_SAMPLE)}
            rows[row][rule.name] = _figures(values[:, r, k]) | ranges
    return rows


def _switch_delay(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    """How soon the peak follows a new source, by row; empty where no source gives way to another."""
    table = {name: scores.table[name][chosen] for name in ("clip", "time_s", "category")}
    found = switches(**table)
    if not found:
        return {}
    hits = scores.pointing[chosen].T
    figures = {row: delay_figures(found, table["time_s"], hit) for row, hit in zip(scores.rows, hits, strict=True)}
    return {"switch_delay": figures}


def _off_screen(scores: Scores, chosen: np.ndarray) -> dict[str, Any]:
    clip, below = scores.table["clip"][chosen], scores.below[chosen]
    known = not np.isnan(below).any()
    interval = bootstrap_interval(below, clip)
    rows: dict[str, dict[str, Any]] = {}
    for r, row in enumerate(scores.rows):
        figures = {
            "tn_rate": float(below[:, r].mean()) if known else None,
            "tn_rate_interval": interval[:, r].tolist() if known else None,
        }
        rows[row] = {scores.off_screen_rule: figures}
    if known and len(scores.pairs):
        moved = bootstrap_interval(scores.stability, scores.table["clip"][scores.pairs[:, 0]])
        for r, row in enumerate(scores.rows):
            rows[row][scores.off_screen_rule] |= {
                "stability": float(scores.stability[:, r].mean()),
                "stability_interval": moved[:, r].tolist(),
            }
    return {"samples": len(clip), "clips": len(np.unique(clip)), "rows": rows}


def _figures(values: np.ndarray) -> dict[str, Any]:
    return {"ciou_at_50": ciou_at_50(values), "ciou_mean": ciou_mean(values), "ciou_auc": ciou_auc(values)}


def _or_none(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
