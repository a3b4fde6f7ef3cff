"""The HTML page of one run or of several."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tavlo_pl import __version__
from tavlo_pl.metrics.suite import MODEL_ROW
from tavlo_pl.report.compare import Comparison, comparison_table
from tavlo_pl.report.examples import OverlayVideo
from tavlo_pl.report.load import RunResults
from tavlo_pl.types import Scenario
from tavlo_pl.viz.page import render
from tavlo_pl.viz.plots import Interval, interval_plot, success_curves
from tavlo_pl.viz.slider import Shown, Viewer, make_viewer
from tavlo_pl.viz.table import GROUPS, Table, group_table, results_tables


class RunSection(NamedTuple):
    """Variables of the template for one run.

    Attributes:
        name: of the run.
        tables: its results.
        by_category: its results by category, if the data has categories.
        left_out: clip -> reason why it was not tested.
        provenance: name -> value of weights, data, seed, version and command.
    """

    name: str
    tables: list[Table]
    by_category: Table | None
    left_out: dict[str, str]
    provenance: dict[str, str]


def report_page(
    runs: Sequence[RunResults],
    comparisons: Sequence[Comparison],
    shown: Mapping[str, Sequence[Shown]],
    videos: Sequence[OverlayVideo],
) -> str:
    """Renders the page.

    Args:
        runs: one or more.
        comparisons: of each later run with the first.
        shown: heading -> samples; may be empty.
        videos: overlay videos; may be empty.

    Returns:
        HTML that refers to no other files than the overlay videos.
    """
    names = " against ".join(run.name for run in reversed(runs))
    return render(
        __package__,
        "report.html.j2",
        title=f"tavlo report: {names}",
        comparisons=[comparison_table(comparison) for comparison in comparisons],
        runs=[_run_section(run) for run in runs],
        rules=list(dict.fromkeys(run.rules[0] for run in runs)),
        curves=_curves(runs),
        intervals=_intervals(runs),
        viewer=_viewer(runs[0], shown) if shown else None,
        videos=videos,
        version=__version__,
    )


def _run_section(run: RunResults) -> RunSection:
    return RunSection(
        run.name,
        results_tables(run.metrics),
        group_table(run.metrics, "category"),
        run.metrics["left_out"]["reasons"],
        _provenance(run),
    )


def _curves(runs: Sequence[RunResults]) -> list[str]:
    """Success curves by scenario: of all rows of one run, or of the models of several."""
    plots = []
    for scenario, members in runs[0].samples.groups().items():
        if len(runs) == 1:
            (run,) = runs
            columns = {row: run.samples.values[f"{row}/{run.rules[0]}"] for row in run.rows()}
            lines = {row: values[members] for row, values in columns.items()}
        else:
            lines = {run.name: run.model_values(run.rules[0])[run.samples.groups().get(scenario, [])] for run in runs}
        lines = {name: values[~np.isnan(values)] for name, values in lines.items()}
        lines = {name: values for name, values in lines.items() if len(values)}
        if lines and scenario != Scenario.OFF_SCREEN:
            plots.append(success_curves(lines, scenario))
    return plots


def _intervals(runs: Sequence[RunResults]) -> dict[str, str]:
    """Heading -> plot by scenario, category, size and number of sources, from the values in ``results.json``."""
    groups_by_heading = {"By scenario": _groups(runs, [run.metrics["scenarios"] for run in runs])}
    for kind, heading in GROUPS.items():
        groups = _groups(runs, [run.metrics.get("breakdown", {}).get(kind, {}) for run in runs])
        if len(runs) == 1:
            groups = {name: {MODEL_ROW: group[MODEL_ROW]} for name, group in groups.items()}
        groups_by_heading[heading] = groups
    label = f"ciou_mean, rule {runs[0].rules[0]}"
    return {heading: interval_plot(groups, label) for heading, groups in groups_by_heading.items() if groups}


def _groups(runs: Sequence[RunResults], figures: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Interval]]:
    """Group -> series -> mean cIoU: the model and the baselines of one run, or the models of several."""
    groups: dict[str, dict[str, Interval]] = {}
    for run, by_group in zip(runs, figures, strict=True):
        for group, scenario in by_group.items():
            rows = scenario["rows"] if len(runs) == 1 else {run.name: scenario["rows"][MODEL_ROW]}
            for name, by_rule in rows.items():
                found = by_rule.get(run.rules[0], {})
                if "ciou_mean" in found:  # off-screen samples have no cIoU
                    interval = Interval(found["ciou_mean"], *found["ciou_mean_interval"])
                    groups.setdefault(f"{group} ({scenario['samples']})", {})[name] = interval
    return groups


def _viewer(run: RunResults, shown: Mapping[str, Sequence[Shown]]) -> Viewer:
    thresholds = run.metrics["universal_threshold"]
    return make_viewer(shown, run.rules[0], run.metrics["interpolation"], thresholds.get(MODEL_ROW))


def _provenance(run: RunResults) -> dict[str, str]:
    plain = {key: value for key, value in run.results.items() if not isinstance(value, dict | list)}
    nested = {
        f"{key} {part}": value
        for key in ("checkpoint", "data_fingerprint", "fingerprint")
        for part, value in (run.results.get(key) or {}).items()
    }
    values = {"folder": run.folder} | plain | nested
    values |= {f"protocol {choice}": value for choice, value in run.metrics["protocol"].items()}
    return {key.replace("_", " "): str(value) for key, value in values.items()}
