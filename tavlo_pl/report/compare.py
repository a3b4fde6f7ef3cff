"""Compares two runs on the same samples, by scenario, threshold rule and figure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.figure import OFF_SCREEN, ON_SCREEN
from tavlo_pl.metrics.functional.paired import PairedDifference, paired_differences
from tavlo_pl.metrics.protocols import Protocol
from tavlo_pl.report.load import RunResults
from tavlo_pl.viz.table import Table


class Comparison(NamedTuple):
    """A second run against a first.

    Attributes:
        first: the reference.
        second: the run that is compared with it.
        rows: (S, 2), places of the S samples that both have in the first and in the second run.
        differences: scenario -> rule -> figure -> difference.
    """

    first: RunResults
    second: RunResults
    rows: np.ndarray
    differences: dict[str, dict[str, dict[str, PairedDifference]]]

    @property
    def same_data(self) -> bool | None:
        """Whether both were tested on the same ground truth; None without two fingerprints of one command."""
        first, second = self.first.data_mark, self.second.data_mark
        return first[1] == second[1] if first and second and first[0] == second[0] else None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "same_data": self.same_data,
            "samples": {
                "both": len(self.rows),
                "first": len(self.first.samples.sample_id),
                "second": len(self.second.samples.sample_id),
            },
            "scenarios": {
                scenario: {
                    rule: {name: found._asdict() | {"verdict": found.verdict} for name, found in figures.items()}
                    for rule, figures in rules.items()
                }
                for scenario, rules in self.differences.items()
            },
        }


def compare(first: RunResults, second: RunResults) -> Comparison:
    """Compares the model rows of two runs on the samples that both have.

    Compared are all figures that are means over a column of ``per_sample.csv``, in every group of samples that they are
    reported for, by every rule that both runs have.

    Raises:
        ConfigError: the runs have no sample, or no rule, in common.
    """
    _, one, two = np.intersect1d(first.samples.sample_id, second.samples.sample_id, return_indices=True)
    differences: dict[str, dict[str, dict[str, PairedDifference]]] = {}
    for scenario, members in first.samples.groups().items():
        chosen = np.flatnonzero(members[one])
        group = OFF_SCREEN if scenario == OFF_SCREEN else ON_SCREEN
        figures = [figure for figure in first.figures if figure.column and figure.group == group]
        for rule in [first.rule_of(scenario)] if group == OFF_SCREEN else first.rules:
            for figure in figures:
                column = figure.column.format(rule=rule)
                pair = [run.model_values(column)[rows[chosen]] for run, rows in ((first, one), (second, two))]
                known = ~np.isnan(pair).any(axis=0)
                if known.any():
                    clip = first.samples.clip[one[chosen[known]]]
                    values = [figure.of_samples(each[known])[:, None] for each in pair]
                    found = paired_differences(values[0], values[1], clip)[0]
                    differences.setdefault(scenario, {}).setdefault(rule, {})[figure.name] = found
    if not differences:
        lacking = f"threshold rule in common with {first.folder}" if len(one) else f"sample of {first.folder}"
        raise ConfigError(f"{second.folder}: no {lacking}; compare tests of one data set by one rule")
    return Comparison(first, second, np.stack([one, two], 1), differences)


def comparison_table(comparison: Comparison) -> Table:
    """One line a scenario and figure, by the rule of the main table."""
    first, second = comparison.first, comparison.second
    rows = []
    for scenario, rules in comparison.differences.items():
        rule = first.rule_of(scenario)
        for name, found in rules.get(rule, {}).items():
            rows.append(
                [
                    f"{scenario} {name}",
                    f"{100 * found.first:.1f}",
                    f"{100 * found.second:.1f}",
                    f"{100 * found.difference:+.1f}",
                    f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
                    f"{found.samples} ({found.clips})",
                    found.verdict,
                ]
            )
    return Table(
        title=f"{second.name} against {first.name}, in %, rule {first.rules[0]}",
        header=["", "A", "B", "B - A", "95 % interval", "samples (clips)", "B is"],
        rows=rows,
        notes=[f"A: {first.name}. B: {second.name}.", *_notes(comparison)],
    )


def _notes(comparison: Comparison) -> Sequence[str]:
    """How the runs were compared, and what makes them hard to compare."""
    both, in_a, in_b = comparison.to_json()["samples"].values()
    notes = [
        "Paired bootstrap by video of the differences per sample, without correction for multiple comparisons.",
        Protocol.of(comparison.first.metrics["protocol"]).sentence(),
    ]
    if both < max(in_a, in_b):
        notes.append(f"Compared on the {both} samples that both runs have, of {in_a} in A and {in_b} in B.")
    if comparison.same_data is False:
        notes.append("The fingerprints of the data differ: the runs were not tested on the same ground truth.")
    elif comparison.same_data is None:
        notes.append("The runs left no fingerprints of one kind, so samples were matched by name alone.")
    one, two = (run.metrics["protocol"] for run in (comparison.first, comparison.second))
    for choice in one:
        if choice != "modified" and one[choice] != two.get(choice):
            notes.append(f"The runs were measured differently: {choice} is {one[choice]} in A and {two[choice]} in B.")
    return notes
