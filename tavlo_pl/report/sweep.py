"""Results of all runs of a sweep, from their records: ``sweep.json``, ``table.md`` and plots.

``plot.svg`` and ``pointing.svg`` have all variants, ``misalignment.svg`` those whose audio is cut into more or fewer
pieces than there are segments, and ``curves.svg`` the training of the runs that are on this machine.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tavlo_pl.errors import RunFailedError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.figure import TN_RATE
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import auc_of_each
from tavlo_pl.metrics.protocols import Protocol
from tavlo_pl.report.records import RunRecord
from tavlo_pl.run.sweep import SweepRun
from tavlo_pl.types import CUES, Scenario
from tavlo_pl.viz.plots import Interval, interval_curves, interval_plot, step_curves
from tavlo_pl.viz.table import NOTHING, Table

CURVES = ("train/retrieval", "val/ciou_mean")
"""Logged scalars that curves.svg shows."""
GROUPS = ("single_sound", "mixed_sound", "multi_entity", "cross_event", "on_screen")
ALIGNED = "reference"
"""Variant whose audio has as many pieces as there are segments."""
MISALIGNED = re.compile(r"audio_(minus|plus)(\d+)")
"""Names of the variants whose audio has fewer or more pieces, and by how many."""
MISALIGNED_GROUPS = {"on_screen": "all on-screen samples", "cross_event": "cross-event", "synchrony": "synchrony"}
COSTS = ("parameters", "fit, s", "clip, ms")


def write_sweep(records: Sequence[RunRecord], runs: Sequence[SweepRun], out: Path) -> list[Table]:
    """Writes the results of tested runs as JSON, as tables and as plots.

    Args:
        records: of tested runs, at least one.
        runs: their folders; those that are not on this machine are not in ``curves.svg``.
        out: folder of the files.

    Returns:
        the tables, one row a variant: cIoU, and pointing.
    """
    names = list(dict.fromkeys(record.variant for record in records))
    results = {name: variant_results([record for record in records if record.variant == name]) for name in names}
    write_text_atomic(out / "sweep.json", json.dumps(results, indent=2) + "\n")
    protocol = Protocol.of(records[0].protocol)
    tables = [ciou_table(results, protocol), pointing_table(results)]
    write_text_atomic(out / "table.md", "\n".join(table.to_markdown() for table in tables))
    for measure, file in (("ciou_mean", "plot.svg"), ("pointing", "pointing.svg")):
        intervals = {
            name: {group: _plotted(found) for group, found in row[measure].items()} for name, row in results.items()
        }
        write_text_atomic(
            out / file, interval_plot(intervals, f"{measure}, protocol {protocol.label}, mean of the seeds")
        )
    if panels := misalignment(results):
        titled = {f"{measure}, protocol {protocol.label}": lines for measure, lines in panels.items()}
        write_text_atomic(out / "misalignment.svg", interval_curves(titled, "number of audio pieces − T"))
    curves = {scalar: _curves(runs, scalar) for scalar in CURVES}
    if any(curves.values()):
        write_text_atomic(out / "curves.svg", step_curves(curves))
    return tables


def variant_results(records: Sequence[RunRecord]) -> dict[str, Any]:
    """Results of one variant: means over its seeds, with the interval of each mean by video.

    Args:
        records: tested runs of the variant, one a seed.

    Raises:
        RunFailedError: they were tested on different samples.
    """
    first = records[0]
    if len({record.samples_sha256 for record in records}) > 1:
        raise RunFailedError(
            f"the seeds of {first.variant} were tested on different samples and cannot be averaged: remove the records "
            "of videos that are not used any more"
        )
    groups = [*GROUPS, *(cue for cue in CUES if any(cue in each.split("+") for each in first.cue))]
    ciou = {group: found for group in groups if (found := _mean(records, group, "ciou"))}
    other = _mean(records, "on_screen", "mismatched_ciou")
    return {
        "seeds": [record.seed for record in records],
        "protocol": Protocol.of(first.protocol).label,
        "revisions": sorted({record.revision for record in records if record.revision}),
        "ciou_mean": ciou,
        "ciou_auc": {group: _mean(records, group, "ciou", auc_of_each)["value"] for group in ciou},
        "pointing": {group: _mean(records, group, "pointing") for group in ciou},
        "mismatched_falls_by": _falls(ciou.get("on_screen"), other),
        "mismatched_falls_by_in_mixed": _falls(
            ciou.get("mixed_sound"), _mean(records, "mixed_sound", "mismatched_ciou")
        ),
        "mismatched_ciou_mean": other,
        "tn_rate": _mean(records, Scenario.OFF_SCREEN, TN_RATE),
        "parameters": first.parameters,
        "fit_s": [record.fit_s for record in records if record.fit_s is not None],
        "inference_s": [record.inference_s for record in records if record.inference_s is not None],
    }


def misalignment(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[float, Interval]]]:
    """Pointing and ciou_mean by the number of pieces that the audio is cut into.

    Args:
        results: variant -> `variant_results`; variants of `MISALIGNED` and `ALIGNED` are used.

    Returns:
        Measure -> group -> number of pieces − T -> value; empty if no variant is misaligned.
    """
    found = {name: MISALIGNED.fullmatch(name) for name in results}
    pieces = {name: int(match[2]) * (-1 if match[1] == "minus" else 1) for name, match in found.items() if match}
    if not pieces:
        return {}
    pieces |= {ALIGNED: 0} if ALIGNED in results else {}
    panels: dict[str, dict[str, dict[float, Interval]]] = {}
    for measure in ("pointing", "ciou_mean"):
        for group, label in MISALIGNED_GROUPS.items():
            values = {by: results[name][measure].get(group) for name, by in pieces.items()}
            if points := {float(by): _plotted(value) for by, value in values.items() if value}:
                panels.setdefault(measure, {})[label] = points
    return panels


def ciou_table(results: dict[str, dict[str, Any]], protocol: Protocol) -> Table:
    """cIoU, off-screen rate and costs, one row a variant.

    Args:
        results: variant -> `variant_results`.
        protocol: how the runs were tested.
    """
    groups = _groups(results, GROUPS)

    def cell(row: dict[str, Any], group: str) -> str:
        if group not in row["ciou_mean"]:
            return NOTHING
        return f"{_interval(row['ciou_mean'][group])} / {100 * row['ciou_auc'][group]:.1f}"

    def mean(values: Sequence[float], unit: float) -> str:
        value = np.mean(values) / unit if values else np.nan
        return NOTHING if np.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    return Table(
        title=f"ciou_mean / AUC in %, protocol {protocol.label}; mean of the seeds",
        header=["variant", "seeds", *groups, "mismatched: falls by", "in mixed_sound", "off_screen tn_rate", *COSTS],
        rows=[
            [
                name,
                str(len(row["seeds"])),
                *(cell(row, group) for group in groups),
                _spread(row["mismatched_falls_by"]),
                _spread(row["mismatched_falls_by_in_mixed"]),
                f"{_interval(row['tn_rate'])} {_limits(row['tn_rate']['by_seed'])}" if row["tn_rate"] else NOTHING,
                NOTHING if row["parameters"] is None else f"{row['parameters']:,}",
                mean(row["fit_s"], 1),
                mean(row["inference_s"], 1e-3),
            ]
            for name, row in results.items()
        ],
        notes=[
            protocol.sentence(),
            "Off-screen tn_rate: 90 % is what maps without information get.",
            "±: half the 95 % interval by video of the mean over seeds. In brackets: lowest and highest seed.",
            "fit: wall time of training and validation; clip: time to localize one clip, without reading it. Both were "
            "measured while the other runs used the machine, and are means over the seeds.",
            "mismatched: by how much ciou_mean over all on-screen samples, and over those of Mixed-sound, falls with "
            "the audio of another clip.",
        ],
    )


def pointing_table(results: dict[str, dict[str, Any]]) -> Table:
    """Share of samples whose highest score is on a sounding source, by scenario and cue; one row a variant.

    Args:
        results: variant -> `variant_results`.
    """
    groups = _groups(results, (*GROUPS, *CUES))
    return Table(
        title="Pointing in %: samples whose highest score is on a sounding source; mean of the seeds",
        header=["variant", "seeds", *groups],
        rows=[
            [
                name,
                str(len(row["seeds"])),
                *(
                    f"{_interval(row['pointing'][group])} {_limits(row['pointing'][group]['by_seed'])}"
                    if group in row["pointing"]
                    else NOTHING
                    for group in groups
                ),
            ]
            for name, row in results.items()
        ],
        notes=["±: half the 95 % interval by video of the mean over seeds. In brackets: lowest and highest seed."],
    )


def _groups(results: dict[str, dict[str, Any]], names: Sequence[str]) -> list[str]:
    """The groups that any variant has samples of."""
    return [name for name in names if any(name in row["ciou_mean"] for row in results.values())]


def _plotted(result: dict[str, Any]) -> Interval:
    return Interval(*(result[key] for key in Interval._fields))


def _interval(result: dict[str, Any]) -> str:
    return f"{100 * result['value']:.1f} ±{50 * (result['high'] - result['low']):.1f}"


def _limits(values: Sequence[float]) -> str:
    """The lowest and the highest of several seeds; nothing for one."""
    return f"({100 * min(values):.1f}-{100 * max(values):.1f})" if len(values) > 1 else ""


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * np.mean(known):.1f} {_limits(known)}".strip() if known else NOTHING


def _falls(own: dict[str, Any] | None, other: dict[str, Any]) -> list[float | None]:
    """By which share the mean of each seed falls with other audio; None where it was 0."""
    if not own or not other:
        return []
    pairs = zip(own["by_seed"], other["by_seed"], strict=True)
    return [1 - changed / matched if matched else None for matched, changed in pairs]


def _curves(runs: Sequence[SweepRun], scalar: str) -> dict[str, list[np.ndarray]]:
    """Variant -> (N, 2) steps and values of a logged scalar, one array a seed."""
    curves: dict[str, list[np.ndarray]] = {}
    for run in (run for run in runs if run.folder.is_dir()):
        events = EventAccumulator(str(run.folder)).Reload()
        if scalar in events.Tags()["scalars"]:
            curves.setdefault(run.name, []).append(np.array([(e.step, e.value) for e in events.Scalars(scalar)]))
    return curves


def _in_group(record: RunRecord, group: str) -> np.ndarray:
    """(n,) bool: the samples of a scenario or cue; for ``on_screen`` and ``cross_event``, those of all scenarios."""
    off_screen = np.array([each == Scenario.OFF_SCREEN for each in record.scenario])
    if group == "on_screen":
        return ~off_screen
    if group == "cross_event":
        switches: np.ndarray = ~off_screen & (np.array(record.cross_event) == 1)
        return switches
    names = record.cue if group in CUES else record.scenario
    chosen: np.ndarray = np.array([group in each.split("+") for each in names], bool)
    return chosen


def _mean(
    records: Sequence[RunRecord],
    group: str,
    column: str,
    of: Callable[[np.ndarray], np.ndarray] = lambda values: values,
) -> dict[str, Any]:
    """Mean over seeds and samples, its 95 % interval by video, and the mean of each seed; empty without samples."""
    chosen = _in_group(records[0], group)
    values = np.stack([record.column(column)[chosen] for record in records])
    known = ~np.isnan(values).any(0)
    if not known.any():
        return {}
    values, clips = of(values[:, known]), np.array(records[0].clip)[chosen][known]
    low, high = bootstrap_interval(values.mean(0)[:, None], clips)[:, 0]
    return {
        "value": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "by_seed": [float(value) for value in values.mean(1)],
    }
