"""The table at the end of ``test``, as text for a terminal and as Markdown for a README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tavlo_pl.types import Scenario

CEILING = "ceiling"
COUNTS = "samples (clips)"
NOTHING = "–"
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
    """The tables of a test: the first rule with intervals and the off-screen rate, then the other rules.

    Args:
        metrics: what ``LocalizationSuite.compute()`` returns, or what was read back from ``results.json``.

    Returns:
        One table, or two where there are several rules and samples for them.
    """
    first, *others = metrics["rules"]
    tables = [_main_table(metrics, first)]
    if others and _on_screen(metrics):
        tables.append(_rules_table(metrics, others))
    return tables


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
        title=f"ciou_mean ± half its 95 % interval / ciou_at_50, in %, rule {rule}",
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
        return _with_interval(off_screen["tn_rate"], interval) if interval else NOTHING
    scores = _scores(scenario, row, rule)
    if "ciou_mean_interval" not in scores:
        return _pair(scores)
    mean = _with_interval(scores["ciou_mean"], scores["ciou_mean_interval"])
    return f"{mean} / {_percent(scores['ciou_at_50'])}"


def _pair(scores: Mapping[str, Any]) -> str:
    return f"{_percent(scores['ciou_mean'])} / {_percent(scores['ciou_at_50'])}" if scores else NOTHING


def _with_interval(value: float, interval: Sequence[float]) -> str:
    low, high = interval
    return f"{_percent(value)} ±{_percent((high - low) / 2)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    """How the maps were measured, and what was not."""
    size, rule, left_out = metrics["size"], metrics["off_screen_rule"], metrics["left_out"]
    notes = [f"Maps upsampled to {size}×{size} ({metrics['interpolation']}). Intervals: bootstrap by video."]
    if Scenario.OFF_SCREEN in metrics["scenarios"]:
        notes.append(f"{Scenario.OFF_SCREEN}: tn_rate, the share of pixels below the row's own {rule} threshold.")
    if not metrics["scenarios"]:
        notes.append("No annotated sample was tested.")
    if left_out["clips"]:
        names = sorted(left_out["reasons"])
        more = ", …" if len(names) > NAMED_CLIPS else ""
        notes.append(
            f"Left out, because unreadable: {left_out['clips']} clips with {left_out['samples']} samples "
            f"({', '.join(names[:NAMED_CLIPS])}{more})."
        )
    else:
        notes.append("No clip was left out.")
    return notes
