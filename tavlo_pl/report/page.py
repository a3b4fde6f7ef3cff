"""The page of one run or of several, section by section."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tavlo_pl import __version__
from tavlo_pl.metrics.suite import MODEL_ROW
from tavlo_pl.report.compare import Comparison, comparison_table
from tavlo_pl.report.examples import Film
from tavlo_pl.report.load import RunResults
from tavlo_pl.types import Scenario
from tavlo_pl.viz import slider
from tavlo_pl.viz.page import details, drawing, facts, film, grid, html_page, paragraph, section, subheading, table_html
from tavlo_pl.viz.plots import Interval, interval_plot, success_curves
from tavlo_pl.viz.slider import Shown
from tavlo_pl.viz.table import GROUPS, group_table, results_tables

CURVES = "Share of the samples whose cIoU reaches a threshold. The name's figure, the mean cIoU, is the area below."
INTERVALS = "The mean cIoU with its 95 % interval by video; in brackets the number of samples."
LOOK = (
    "Outlined: the ground truth. Lit: what the map claims at the slider's threshold, brighter for a higher raw score "
    "on one scale for all maps; dimmed: what it does not. The slider moves all maps at once."
)
NO_MAPS = "No run left its maps (maps.npz), so there are no pictures and no films."


def report_page(
    runs: Sequence[RunResults],
    comparisons: Sequence[Comparison],
    shown: Mapping[str, Sequence[Shown]],
    films: Sequence[Film],
) -> str:
    """The whole page.

    Args:
        runs: one or more.
        comparisons: of each later run with the first.
        shown: heading -> samples to look at; may be empty.
        films: to watch; may be empty.

    Returns:
        HTML that refers to nothing but the films.
    """
    names = " against ".join(run.name for run in reversed(runs))
    style, script = (slider.STYLE, slider.SCRIPT) if shown else ("", "")
    sections = [
        *([section("Comparison", *map(table_html, map(comparison_table, comparisons)))] if comparisons else []),
        section("Results", *_results(runs)),
        *_curves(runs),
        *_intervals(runs),
        _samples(runs[0], shown),
        *([section("Films", grid([_film(each) for each in films], 300))] if films else []),
        section("Where this comes from", *_provenance(runs)),
    ]
    return html_page(f"tavlo report: {names}", sections, style=style, script=script)


def _results(runs: Sequence[RunResults]) -> list[str]:
    """The tables of each run, and the clips that were left out with the reason."""
    blocks = []
    for run in runs:
        blocks += [subheading(run.name)] if len(runs) > 1 else []
        blocks += [table_html(table) for table in results_tables(run.metrics)]
        by_category = group_table(run.metrics, "category")
        if by_category is not None:
            blocks.append(details(f"{GROUPS['category']} ({len(by_category.rows)})", table_html(by_category)))
        reasons = run.metrics["left_out"]["reasons"]
        if reasons:
            blocks.append(details(f"Left out, with the reason ({len(reasons)})", facts(reasons)))
    return blocks


def _curves(runs: Sequence[RunResults]) -> list[str]:
    """Success curves by scenario: of all rows of one run, or of the models of several."""
    panels = []
    for scenario, members in runs[0].samples.groups().items():
        if len(runs) == 1:
            (run,) = runs
            columns = {row: run.samples.values[f"{row}/{run.rules[0]}"] for row in run.rows()}
            lines = {row: values[members] for row, values in columns.items()}
        else:
            lines = {run.name: run.column(run.rules[0])[run.samples.groups().get(scenario, [])] for run in runs}
        lines = {name: values[~np.isnan(values)] for name, values in lines.items()}
        lines = {name: values for name, values in lines.items() if len(values)}
        if lines and scenario != Scenario.OFF_SCREEN:
            panels.append(drawing(success_curves(lines, scenario)))
    if not panels:
        return []
    rules = ", ".join(dict.fromkeys(run.rules[0] for run in runs))
    return [section("Success curves", paragraph(f"{CURVES} Rule {rules}."), grid(panels, 330))]


def _intervals(runs: Sequence[RunResults]) -> list[str]:
    """Plots by scenario, category, size and number of sources, from the figures in ``results.json``."""
    plots = {"By scenario": _groups(runs, [run.metrics["scenarios"] for run in runs])}
    for kind, heading in GROUPS.items():
        groups = _groups(runs, [run.metrics.get("breakdown", {}).get(kind, {}) for run in runs])
        if len(runs) == 1:
            groups = {name: {MODEL_ROW: group[MODEL_ROW]} for name, group in groups.items()}
        plots[heading] = groups
    label = f"ciou_mean, rule {runs[0].rules[0]}"
    drawn = [
        f"<div>{subheading(heading)}{drawing(interval_plot(groups, label))}</div>"
        for heading, groups in plots.items()
        if groups
    ]
    return [section("Groups of samples", paragraph(INTERVALS), grid(drawn, 380))] if drawn else []


def _groups(runs: Sequence[RunResults], figures: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Interval]]:
    """Group -> series -> mean cIoU: the model beside the trivial rows of one run, or the models of several."""
    groups: dict[str, dict[str, Interval]] = {}
    for run, by_group in zip(runs, figures, strict=True):
        for group, scenario in by_group.items():
            rows = scenario["rows"] if len(runs) == 1 else {run.name: scenario["rows"][MODEL_ROW]}
            for name, by_rule in rows.items():
                found = by_rule.get(run.rules[0], {})
                if "ciou_mean" in found:  # off-screen samples have none
                    interval = Interval(found["ciou_mean"], *found["ciou_mean_interval"])
                    groups.setdefault(f"{group} ({scenario['samples']})", {})[name] = interval
    return groups


def _samples(run: RunResults, shown: Mapping[str, Sequence[Shown]]) -> str:
    if not shown:
        return section("Samples", paragraph(NO_MAPS))
    thresholds = run.metrics["universal_threshold"]
    cards = slider.samples_html(shown, run.rules[0], run.metrics["interpolation"], thresholds.get(MODEL_ROW))
    return section("Samples", paragraph(LOOK), cards)


def _film(each: Film) -> str:
    return film(each.file, each.caption) if each.file else paragraph(each.caption, dim=True)


def _provenance(runs: Sequence[RunResults]) -> list[str]:
    """What made the figures: weights, data, seed, version and command of every run."""
    blocks = []
    for run in runs:
        known = {key: value for key, value in run.results.items() if not isinstance(value, dict | list)}
        nested = {
            f"{key} {part}": value
            for key in ("checkpoint", "data_fingerprint", "fingerprint")
            for part, value in (run.results.get(key) or {}).items()
        }
        origin = {"folder": run.folder} | known | nested
        blocks += [subheading(run.name)] if len(runs) > 1 else []
        blocks.append(facts({key.replace("_", " "): str(value) for key, value in origin.items()}))
    return [*blocks, paragraph(f"Page made by tavlo {__version__}.", dim=True)]
