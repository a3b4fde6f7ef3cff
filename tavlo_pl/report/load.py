"""Reads the results of a run that ``tavlo test`` or ``tavlo score`` has written."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.parsing import read_json, read_text
from tavlo_pl.metrics.figure import CROSS_EVENT, MODEL_ROW, OFF_SCREEN, ON_SCREEN, TN_RATE, Figure, read_figures
from tavlo_pl.report.check import check_results
from tavlo_pl.run.results import MAPS, PER_SAMPLE, RESULTS, SampleMaps
from tavlo_pl.types import SCENARIOS

NAMES = ("sample_id", "clip", "scenario", "category", "cross_event")
"""Columns that say which sample it is."""


class Samples(NamedTuple):
    """The lines of ``per_sample.csv`` as columns.

    Attributes:
        sample_id: (N,) names.
        clip: (N,) names of their videos.
        scenario: (N,) names of ``Scenario``; those of a frame with several are joined by ``+``.
        category: (N,) names.
        cross_event: (N,) bool.
        values: ``<row>/<rule>`` -> (N,) float64, NaN where a column does not apply to a sample.
    """

    sample_id: np.ndarray
    clip: np.ndarray
    scenario: np.ndarray
    category: np.ndarray
    cross_event: np.ndarray
    values: dict[str, np.ndarray]

    def groups(self) -> dict[str, np.ndarray]:
        """Name -> (N,) bool: the scenarios that have samples, in the order of ``results.json``."""
        members = [set(scenario.split("+")) for scenario in self.scenario.tolist()]
        on_screen = np.array([bool(each - {OFF_SCREEN}) for each in members], bool)
        groups = {str(name): np.array([name in each for each in members], bool) for name in SCENARIOS}
        off_screen = groups.pop(OFF_SCREEN)
        groups |= {CROSS_EVENT: on_screen & self.cross_event, ON_SCREEN: on_screen, OFF_SCREEN: off_screen}
        return {name: members for name, members in groups.items() if members.any()}


class RunResults(NamedTuple):
    """One run.

    Attributes:
        name: unique among the runs of the page.
        folder: of its files.
        results: what ``results.json`` holds.
        samples: what ``per_sample.csv`` holds.
        maps: what ``maps.npz`` holds, if it is there.
    """

    name: str
    folder: Path
    results: dict[str, Any]
    samples: Samples
    maps: SampleMaps | None

    @property
    def metrics(self) -> dict[str, Any]:
        """What ``LocalizationSuite.compute()`` returned."""
        figures: dict[str, Any] = self.results["metrics"]
        return figures

    @property
    def data_mark(self) -> tuple[str, str] | None:
        """The command that took a fingerprint of the ground truth, and its sha256; only equal commands compare."""
        if "fingerprint" in self.results:
            return "score", self.results["fingerprint"]["annotations"]
        mark = self.results.get("data_fingerprint")
        return ("test", mark["sha256"]) if mark else None

    @property
    def figures(self) -> list[Figure]:
        """What the metrics of the run report."""
        return list(read_figures(self.metrics))

    @property
    def rules(self) -> list[str]:
        """Threshold rules of cIoU, the one of the main table first."""
        return list(self.metrics["rules"])

    def rule_of(self, scenario: str) -> str:
        """The rule of the main table, or the off-screen rule."""
        return str(self.metrics["off_screen_rule"]) if scenario == OFF_SCREEN else self.rules[0]

    def model_values(self, column: str) -> np.ndarray:
        """(N,) the model's values in a column of ``per_sample.csv``; NaN where there is none."""
        unknown = np.full(len(self.samples.sample_id), np.nan)
        return self.samples.values.get(f"{MODEL_ROW}/{column}", unknown)

    def scores(self, scenario: str) -> np.ndarray:
        """(N,) the model's cIoU by the rule of the main table, or the share of pixels below the threshold.

        Args:
            scenario: of which the score is wanted; off-screen frames have the latter.
        """
        return self.model_values(TN_RATE if scenario == OFF_SCREEN else self.rules[0])

    def rows(self) -> list[str]:
        """The rows whose cIoU is known for each sample, the model first."""
        rule = self.rules[0]
        return [column[: -len(rule) - 1] for column in self.samples.values if column.endswith(f"/{rule}")]


def read_runs(paths: Sequence[Path]) -> list[RunResults]:
    """Reads the runs of a page.

    Args:
        paths: of each, the folder that a test left, the run folder that this lies in, or a ``results.json``.

    Raises:
        ConfigError: there are no results at a path, or they cannot be read.
    """
    files = [_results_file(path) for path in paths]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice.parent} is given twice; compare two runs, or give it once")
    return [_read(name, file) for name, file in zip(_names(files), files, strict=True)]


def _results_file(path: Path) -> Path:
    tries = [path, path / RESULTS, path / "test" / RESULTS]
    found = next((file for file in tries if file.is_file()), None)
    if found is None:
        raise ConfigError(f"{path}: no {RESULTS} here; give a folder that tavlo test or tavlo score has written")
    return found


def _names(files: Sequence[Path]) -> list[str]:
    """Short unique names of the folders: their paths without the parts at both ends that all have in common."""
    parts = [file.absolute().parent.parts if file.name == RESULTS else file.absolute().parts for file in files]
    if len(parts) == 1:
        return ["/".join(parts[0][-2:])]
    while all(len(path) > 1 for path in parts) and len({path[0] for path in parts}) == 1:
        parts = [path[1:] for path in parts]
    while all(len(path) > 1 for path in parts) and len({path[-1] for path in parts}) == 1:
        parts = [path[:-1] for path in parts]
    return ["/".join(path) for path in parts]


def _read(name: str, file: Path) -> RunResults:
    try:
        results = read_json(file)
        check_results(results)
        run = RunResults(name, file.parent, results, _read_samples(file.with_name(PER_SAMPLE)), _read_maps(file.parent))
    except (ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{file.parent}: not the results of a test ({problem}); test or score again") from error
    return run


def _read_maps(folder: Path) -> SampleMaps | None:
    path = folder / MAPS
    return SampleMaps.read(path) if path.is_file() else None


def _read_samples(path: Path) -> Samples:
    lines = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    columns = {name: [line[name] for line in lines] for name in (lines[0] if lines else NAMES)}
    return Samples(
        sample_id=np.array(columns["sample_id"], str),
        clip=np.array(columns["clip"], str),
        scenario=np.array(columns["scenario"], str),
        category=np.array(columns["category"], str),
        cross_event=np.isin(columns["cross_event"], ("True", "1")),
        values={name: _numbers(words) for name, words in columns.items() if "/" in name},
    )


def _numbers(words: Sequence[str]) -> np.ndarray:
    return np.array([float(word) if word else np.nan for word in words])
