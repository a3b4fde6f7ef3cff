"""The tables at the end of ``test``, as text for a terminal and as Markdown for a README."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tavlo_pl.types import Scenario

CEILING = "ceiling"
COUNTS = "samples (clips)"
NOTHING = "–"
CELL = "ciou_mean ± half its 95 % interval / ciou_at_50, in %"
ON_SCREEN = "on_screen"
GROUPS = {"category": "By category", "size": "By size of the source", "sources": "By number of sources"}
PRINTED = ("size", "sources")
"""Groups whose table is short enough for a terminal; the page of ``tavlo report`` has all."""

PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a Markdown page shows a table: its first line, the table's name, what is replaced, its last line."""

SIZES = "Sizes by the area of the ground truth: small up to 32², medium 96², large 144² of 224² pixels."
PIA = "pia: the share of pixels that light up for a sound that no picture makes or another clip's; 0 is right."
NAMED_CLIPS = 5
"""So many clips that were left out are named below the table; all of them stand in ``results.json``."""


@dataclass(frozen=True)
class Table:
    """Words in rows and columns.

    Attributes:
        title: one line above.
        header: names of the columns.
        rows: as many words each as the header.
        notes: sentences below.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def to_text(self) -> str:
        """For a terminal: the first column to the left, the others to the right, two blanks between."""
        first, *widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [
            "  ".join([name.ljust(first), *(cell.rjust(w) for cell, w in zip(cells, widths, strict=True))])
            for name, *cells in [self.header, *self.rows]
        ]
        rule = "-" * len(lines[0])
        return "\n".join([self.title, rule, lines[0], rule, *lines[1:], rule, *self.notes])

    def to_markdown(self) -> str:
        """For a README: a GitHub table, the title above and the notes below as paragraphs of their own."""
        align = ["---", *["---:"] * (len(self.header) - 1)]
        lines = ["| " + " | ".join(words) + " |" for words in [self.header, align, *self.rows]]
        return "\n\n".join([f"**{self.title}**", "\n".join(lines), *self.notes]) + "\n"


def results_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables of a test: the first rule with intervals and the off-screen rate; what else was measured; the samples
    by size and number of their sources; the other rules.

    Args:
        metrics: what ``LocalizationSuite.compute()`` returns, or what was read back from ``results.json``.

    Returns:
        The first, and of the others those that there is something to put into.
    """
    first, *others = metrics["rules"]
    tables = [_main_table(metrics, first), beyond_table(metrics), *(group_table(metrics, kind) for kind in PRINTED)]
    if others and _on_screen(metrics):
        tables.append(_rules_table(metrics, others))
    return [table for table in tables if table is not None]


def beyond_table(metrics: Mapping[str, Any]) -> Table | None:
    """Whatever was measured beside cIoU and the off-screen rate, by the first rule; None where nothing was."""
    rule, scenarios = metrics["rules"][0], metrics["scenarios"]
    on_screen, off_screen = (scenarios.get(name, {}).get("rows", {}) for name in (ON_SCREEN, Scenario.OFF_SCREEN))
    seen = {row: by_rule[rule] for row, by_rule in on_screen.items()}
    unseen = {row: by_rule[metrics["off_screen_rule"]] for row, by_rule in off_screen.items()}
    delay = scenarios.get("cross_event", {}).get("switch_delay", {})
    detection = {row: by_rule[rule] for row, by_rule in metrics.get("detection", {}).items()}
    scenes = {row: by_rule[rule] for row, by_rule in metrics.get("scenes", {}).get("rows", {}).items()}
    segmentation = metrics.get("segmentation", {})
    lines = [
        _line("pointing, share of time", seen, "pointing"),
        _line("switches followed", delay, "followed"),
        _line("switch delay, median, s", delay, "median_s", lambda seconds: f"{seconds:.2f}"),
        _line("stability, off_screen", unseen, "stability"),
        *(
            _line(f"pia, {sound}", {"model": found}, "pia")
            for sound, found in metrics.get("pia", {"rows": {}})["rows"].items()
        ),
        *(_line(label, detection, name) for label, name in (("AP", "ap"), ("max-F1", "max_f1"), ("LocAcc", "loc_acc"))),
        *(_line(label, scenes, name) for label, name in (("IIoU", "iiou"), ("IAUC", "iauc"))),
        *(_line(label, segmentation, name) for label, name in (("mIoU", "miou"), ("F-score", "f_score"))),
    ]
    rows = list(dict.fromkeys(row for _, cells in lines for row in cells))
    if not rows:
        return None
    return Table(
        title=f"Beyond cIoU, in % ± half the 95 % interval, rule {rule}",
        header=["", *rows],
        rows=[[label, *(cells.get(row, NOTHING) for row in rows)] for label, cells in lines if cells],
        notes=[_measured(metrics), *([PIA] if "pia" in metrics else [])],
    )


def group_table(metrics: Mapping[str, Any], kind: str) -> Table | None:
    """On-screen samples by a kind of group: category, size, sources; None where there are none."""
    groups = metrics.get("breakdown", {}).get(kind)
    if not groups:
        return None
    rule = metrics["rules"][0]
    rows = _row_names(groups)
    return Table(
        title=f"{GROUPS[kind]}: {CELL}, rule {rule}",
        header=["", COUNTS, *rows],
        rows=[
            [name, f"{group['samples']} ({group['clips']})", *(_cell(group, row, rule, "") for row in rows)]
            for name, group in groups.items()
        ],
        notes=[_measured(metrics), *([SIZES] if kind == "size" else [])],
    )


def _line(
    label: str, figures: Mapping[str, Any], name: str, to_text: Callable[[float], str] | None = None
) -> tuple[str, dict[str, str]]:
    """A label and, by row, the cell of a figure; none where no row has it."""
    known = {row: found for row, found in figures.items() if found.get(name) is not None}
    if to_text is not None:
        return label, {row: to_text(found[name]) for row, found in known.items()}
    return label, {row: _spread(found[name], found.get(f"{name}_interval")) for row, found in known.items()}


def _main_table(metrics: Mapping[str, Any], rule: str) -> Table:
    scenarios = _on_screen(metrics)
    off_screen = metrics["scenarios"].get(Scenario.OFF_SCREEN)
    if off_screen:
        scenarios[Scenario.OFF_SCREEN] = off_screen
    rows = [
        [row, *(_cell(scenario, row, rule, metrics["off_screen_rule"]) for scenario in scenarios.values())]
        for row in _row_names(scenarios)
    ]
    counts = [f"{scenario['samples']} ({scenario['clips']})" for scenario in scenarios.values()]
    return Table(
        title=f"{CELL}, rule {rule}",
        header=["", *map(str, scenarios)],
        rows=[*rows, [COUNTS, *counts]],
        notes=_notes(metrics),
    )


def _rules_table(metrics: Mapping[str, Any], rules: Sequence[str]) -> Table:
    scenarios = _on_screen(metrics)
    return Table(
        title="Other rules: ciou_mean / ciou_at_50, in %",
        header=["", *scenarios],
        rows=[
            [f"{rule} {row}", *(_pair(_scores(scenario, row, rule)) for scenario in scenarios.values())]
            for rule in rules
            for row in _row_names(scenarios)
        ],
        notes=[_measured(metrics)],
    )


def _on_screen(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The scenarios that have a cIoU."""
    return {name: scores for name, scores in metrics["scenarios"].items() if name != Scenario.OFF_SCREEN}


def _row_names(scenarios: Mapping[str, Any]) -> list[str]:
    """All rows in the order in which the scenarios have them, the ceiling last."""
    return [*dict.fromkeys(row for scenario in scenarios.values() for row in scenario["rows"]), CEILING]


def _scores(scenario: Mapping[str, Any], row: str, rule: str) -> Mapping[str, Any]:
    """The figures of one cell; empty where there are none."""
    by_rule = scenario.get(CEILING, {}) if row == CEILING else scenario["rows"].get(row, {})
    figures: Mapping[str, Any] = by_rule.get(rule, {})
    return figures


def _cell(scenario: Mapping[str, Any], row: str, rule: str, off_screen_rule: str) -> str:
    """A cell of the main table: by the off-screen rule where the scenario was measured by it."""
    off_screen = _scores(scenario, row, off_screen_rule)
    if off_screen:
        interval = off_screen["tn_rate_interval"]
        return _spread(off_screen["tn_rate"], interval) if interval else NOTHING
    scores = _scores(scenario, row, rule)
    if "ciou_mean_interval" not in scores:
        return _pair(scores)
    mean = _spread(scores["ciou_mean"], scores["ciou_mean_interval"])
    return f"{mean} / {_percent(scores['ciou_at_50'])}"


def _pair(scores: Mapping[str, Any]) -> str:
    return f"{_percent(scores['ciou_mean'])} / {_percent(scores['ciou_at_50'])}" if scores else NOTHING


def _spread(value: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return _percent(value)
    low, high = interval
    return f"{_percent(value)} ±{_percent((high - low) / 2)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    """How the maps were measured, and what was not."""
    rule, left_out = metrics["off_screen_rule"], metrics["left_out"]
    notes = [_measured(metrics)]
    if Scenario.OFF_SCREEN in metrics["scenarios"]:
        notes.append(f"{Scenario.OFF_SCREEN}: tn_rate, the share of pixels below the row's own {rule} threshold.")
    if not metrics["scenarios"]:
        notes.append("No annotated sample was tested.")
    if left_out["clips"]:
        reasons = sorted(left_out["reasons"].items())
        named = "; ".join(f"{name}: {reason}" for name, reason in reasons[:NAMED_CLIPS])
        more = "; …" if len(reasons) > NAMED_CLIPS else ""
        notes.append(f"Left out: {left_out['clips']} clips with {left_out['samples']} samples ({named}{more}).")
    else:
        notes.append("No clip was left out.")
    return notes


def _measured(metrics: Mapping[str, Any]) -> str:
    size = metrics["size"]
    return f"Maps upsampled to {size}×{size} ({metrics['interpolation']}). Intervals: bootstrap by video."
