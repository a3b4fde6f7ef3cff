"""The tables at the end of ``test`` and ``score``, as text for a terminal and as Markdown for a README.

The tables of results name no metric: they loop over the `Figure` descriptions that ``LocalizationSuite.compute`` writes
beside the values.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.figure import ALL, MODEL_ROW, OFF_SCREEN, ON_SCREEN, Figure, read_figures
from tavlo_pl.metrics.protocols import Protocol

CEILING = "ceiling"
COUNTS = "samples (clips)"
NOTHING = "–"
GROUPS = {
    "category": "By category",
    "size": "By size of the source",
    "sources": "By number of sources",
    "cue": "By what identifies the source",
}
PRINTED = ("size", "sources", "cue")
"""Groups whose table is short enough for a terminal; the page of ``tavlo report`` has all."""

PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a Markdown page shows a table: its first line, the table's name, what is replaced, its last line."""

SIZES = "Sizes by the area of the ground truth: small up to 32², medium 96², large 144² of 224² pixels."
NAMED_CLIPS = 5
"""At most this many clips that were left out are named below the table; ``results.json`` names all of them."""


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: one line above.
        header: names of the columns.
        rows: one cell for each column of the header.
        notes: sentences below.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def to_text(self) -> str:
        """For a terminal: the first column is flush left, the others are flush right, with two blanks between them."""
        first, *widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = [
            "  ".join([name.ljust(first), *(cell.rjust(w) for cell, w in zip(cells, widths, strict=True))])
            for name, *cells in [self.header, *self.rows]
        ]
        rule = "-" * len(lines[0])
        return "\n".join([self.title, rule, lines[0], rule, *lines[1:], rule, *self.notes])

    def to_markdown(self) -> str:
        """For a README: a GitHub table, with the title above and the notes below as separate paragraphs."""
        align = ["---", *["---:"] * (len(self.header) - 1)]
        lines = ["| " + " | ".join(words) + " |" for words in [self.header, align, *self.rows]]
        return "\n\n".join([f"**{self.title}**", "\n".join(lines), *self.notes]) + "\n"


def results_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables of a test.

    The first has the main figures of each scenario by the first rule; then come all other figures, the samples by size
    and number of their sources and by cue, and the other rules.

    Args:
        metrics: what ``LocalizationSuite.compute()`` returns, or what was read back from ``results.json``.

    Returns:
        The first table, and those of the others that are not empty.
    """
    first, *others = metrics["rules"]
    tables = [_main_table(metrics, first), beyond_table(metrics), *(group_table(metrics, kind) for kind in PRINTED)]
    if others and _on_screen(metrics):
        tables.append(_rules_table(metrics, others))
    return [table for table in tables if table is not None]


def beyond_table(metrics: Mapping[str, Any]) -> Table | None:
    """Every figure that is not in the main table, by the first rule; None where there is none."""
    lines: dict[str, dict[str, str]] = {}
    shown: list[Figure] = []
    for figure in read_figures(metrics):
        if figure.main or not figure.label:
            continue
        rows = metrics["scenarios"].get(figure.group, {}).get("rows", {})
        found = {row: by_rule.get(figure.rule(metrics), {}) for row, by_rule in rows.items()}
        cells = {row: figure.to_text(values) for row, values in found.items() if figure.name in values}
        if cells and figure.mismatched:  # a line for each audio, in the column of the model
            lines |= {f"{figure.label}, {row}": {MODEL_ROW: cell} for row, cell in cells.items()}
        elif cells:
            lines[figure.label] = cells
        shown += [figure] if cells else []
    if not lines:
        return None
    rows = list(dict.fromkeys(row for cells in lines.values() for row in cells))
    return Table(
        title=f"Beyond cIoU, in % ± half the 95 % interval, rule {metrics['rules'][0]}",
        header=["", *rows],
        rows=[[label, *(cells.get(row, NOTHING) for row in rows)] for label, cells in lines.items()],
        notes=[_measured(metrics), *_figure_notes(metrics, shown)],
    )


def group_table(metrics: Mapping[str, Any], kind: str) -> Table | None:
    """On-screen samples by a kind of group: category, size, sources, cue; None where there are none."""
    groups = metrics.get("breakdown", {}).get(kind)
    if not groups:
        return None
    rule, figures = metrics["rules"][0], _main_figures(metrics, ON_SCREEN)
    rows = _row_names(groups, figures)
    return Table(
        title=f"{GROUPS[kind]}: {_cell_title(figures)}, rule {rule}",
        header=["", COUNTS, *rows],
        rows=[
            [name, f"{group['samples']} ({group['clips']})", *(_cell(figures, group, row, rule) for row in rows)]
            for name, group in groups.items()
        ],
        notes=[_measured(metrics), *([SIZES] if kind == "size" else [])],
    )


def _main_table(metrics: Mapping[str, Any], rule: str) -> Table:
    on_screen, off_screen = _main_figures(metrics, ON_SCREEN), _main_figures(metrics, OFF_SCREEN)
    scenarios = {name: (group, on_screen, rule) for name, group in _on_screen(metrics).items()}
    if OFF_SCREEN in metrics["scenarios"]:
        group = metrics["scenarios"][OFF_SCREEN]
        scenarios[OFF_SCREEN] = group, off_screen, metrics["off_screen_rule"]
    names = _row_names({name: group for name, (group, _, _) in scenarios.items()}, [*on_screen, *off_screen])
    rows = [
        [row, *(_cell(figures, group, row, of_group) for group, figures, of_group in scenarios.values())]
        for row in names
    ]
    counts = [f"{group['samples']} ({group['clips']})" for group, _, _ in scenarios.values()]
    shown = off_screen if OFF_SCREEN in scenarios else []
    return Table(
        title=f"{_cell_title(on_screen)}, rule {rule}",
        header=["", *map(str, scenarios)],
        rows=[*rows, [COUNTS, *counts]],
        notes=_notes(metrics, [*on_screen, *shown]),
    )


def _rules_table(metrics: Mapping[str, Any], rules: Sequence[str]) -> Table:
    scenarios, figures = _on_screen(metrics), _main_figures(metrics, ON_SCREEN)
    return Table(
        title=f"Other rules: {' / '.join(figure.name for figure in figures)}, in %",
        header=["", *scenarios],
        rows=[
            [
                f"{rule} {row}",
                *(_cell(figures, group, row, rule, intervals=False) for group in scenarios.values()),
            ]
            for rule in rules
            for row in _row_names(scenarios, figures)
        ],
        notes=[_measured(metrics)],
    )


def _main_figures(metrics: Mapping[str, Any], group: str) -> list[Figure]:
    """The figures of the main table's cells for a group."""
    return [figure for figure in read_figures(metrics) if figure.main and figure.group == group]


def _on_screen(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The scenarios of samples with a visible source."""
    return {name: group for name, group in metrics["scenarios"].items() if name not in (OFF_SCREEN, ALL)}


def _row_names(groups: Mapping[str, Any], figures: Sequence[Figure]) -> list[str]:
    """The rows that have one of the figures, or no value at all, in the order of the groups; the ceiling last."""
    names = {figure.name for figure in figures}
    rows = dict.fromkeys(
        row
        for group in groups.values()
        for row, by_rule in group["rows"].items()
        if any(not values or names & values.keys() for values in by_rule.values())
    )
    return [*rows, CEILING]


def _cell_title(figures: Sequence[Figure]) -> str:
    """What the figures of a cell are."""
    names = [figure.name for figure in figures]
    return " / ".join([f"{name} ± half its 95 % interval" for name in names[:1]] + names[1:]) + ", in %"


def _cell(figures: Sequence[Figure], group: Mapping[str, Any], row: str, rule: str, *, intervals: bool = True) -> str:
    """The figures of a row by a rule, the first with its interval if asked for; a dash where there are none."""
    by_rule = group.get(CEILING, {}) if row == CEILING else group["rows"].get(row, {})
    values = by_rule.get(rule, {})
    known = [figure for figure in figures if figure.name in values]
    plain = {figure.name: values[figure.name] for figure in known}
    texts = [figure.to_text(values if intervals and not place else plain) for place, figure in enumerate(known)]
    return " / ".join(texts) or NOTHING


def _notes(metrics: Mapping[str, Any], figures: Sequence[Figure]) -> list[str]:
    """How the maps were measured, and what was not."""
    left_out = metrics["left_out"]
    notes = [_measured(metrics), *_figure_notes(metrics, figures)]
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


def _figure_notes(metrics: Mapping[str, Any], figures: Sequence[Figure]) -> list[str]:
    """The sentences that explain figures."""
    return [figure.note.replace("{rule}", figure.rule(metrics)) for figure in figures if figure.note]


def _measured(metrics: Mapping[str, Any]) -> str:
    protocol = Protocol.of(metrics["protocol"])
    fixed = ", with the thresholds of the run kept" if protocol.rules[0].startswith("universal") else ""
    return f"{protocol.sentence()} Intervals: bootstrap by video{fixed}."


def with_table(page: Path, name: str, table: str) -> str:
    """Returns the text of a Markdown page in which the table with a name is replaced.

    Raises:
        ConfigError: the page does not exist, or has no table with that name.
    """
    text = page.read_text(encoding="utf-8-sig") if page.is_file() else ""
    if name not in {found[2] for found in PLACE.finditer(text)}:
        raise ConfigError(f"--page {page}: no page with a line <!-- table: {name} --> and a line <!-- end --> below it")
    return PLACE.sub(lambda found: found[1] + table + found[3] if found[2] == name else found[0], text)
