"""Results of all runs of a sweep: ``sweep.json``, ``table.md``, ``plot.svg`` and ``curves.svg``."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.figure import TN_RATE
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import auc_of_each
from tavlo_pl.metrics.protocols import Protocol
from tavlo_pl.run.results import PER_SAMPLE, RESULTS
from tavlo_pl.run.sweep import SweepRun
from tavlo_pl.types import Scenario
from tavlo_pl.viz.plots import Interval, interval_plot, step_curves
from tavlo_pl.viz.table import NOTHING, Table

MISMATCHED = "mismatched_audio"
CURVES = ("train/retrieval", "val/ciou_mean")
"""Logged scalars that curves.svg shows."""
GROUPS = ("single_sound", "mixed_sound", "multi_entity", "cross_event", "on_screen")
COSTS = ("parameters", "fit, s", "clip, ms")


def write_sweep(runs: Sequence[SweepRun], out: Path) -> Table:
    """Writes the results of tested runs as JSON, as a table and as plots.

    Args:
        runs: tested runs, at least one.
        out: folder of the files.

    Returns:
        the table, one row a variant.
    """
    names = list(dict.fromkeys(run.name for run in runs))
    results = {name: variant_results([run for run in runs if run.name == name]) for name in names}
    write_text_atomic(out / "sweep.json", json.dumps(results, indent=2) + "\n")
    protocol = _protocol(runs)
    rule = protocol.rules[0]
    disk = {group: _mean([_samples(runs[0])], group, f"centred_disk/{rule}")["value"] for group in GROUPS}
    table = sweep_table(results, disk, protocol)
    write_text_atomic(out / "table.md", table.to_markdown())
    intervals = {
        name: {group: Interval(*(row["ciou_mean"][group][key] for key in Interval._fields)) for group in GROUPS}
        for name, row in results.items()
    }
    write_text_atomic(
        out / "plot.svg", interval_plot(intervals, f"ciou_mean, protocol {protocol.label}, mean of the seeds")
    )
    write_text_atomic(out / "curves.svg", step_curves({scalar: _curves(runs, scalar) for scalar in CURVES}))
    return table


def variant_results(runs: Sequence[SweepRun]) -> dict[str, Any]:
    """Results of one variant: means over its seeds, with the interval of each mean by video.

    Args:
        runs: tested runs of the variant, one a seed.
    """
    samples = [_samples(run) for run in runs]
    results = [json.loads((run.test_folder / RESULTS).read_text()) for run in runs]
    rule = _protocol(runs).rules[0]
    ciou = {group: _mean(samples, group, f"model/{rule}") for group in GROUPS}
    mismatched = _mean(samples, "on_screen", f"{MISMATCHED}/{rule}")
    return {
        "seeds": [run.seed for run in runs],
        "protocol": _protocol(runs).label,
        "ciou_mean": ciou,
        "ciou_auc": {group: _mean(samples, group, f"model/{rule}", auc_of_each)["value"] for group in GROUPS},
        "mismatched_falls_by": [
            1 - other / matched if matched else None
            for matched, other in zip(ciou["on_screen"]["by_seed"], mismatched["by_seed"], strict=True)
        ],
        "mismatched_ciou_mean": mismatched,
        "tn_rate": _mean(samples, Scenario.OFF_SCREEN, f"model/{TN_RATE}"),
        "parameters": results[0].get("parameters"),
        "fit_s": [sum(map(float, r.fit_times.read_text().split())) for r in runs if r.fit_times.is_file()],
        "inference_s": [r["inference_s"] for r in results if r.get("inference_s") is not None],
    }


def sweep_table(results: dict[str, dict[str, Any]], disk: dict[str, float], protocol: Protocol) -> Table:
    """One row a variant.

    Args:
        results: variant -> `variant_results`.
        disk: group -> ciou_mean of the centred disk, the baseline below the table.
        protocol: how the runs were tested.
    """
    seeds = sorted({seed for row in results.values() for seed in row["seeds"]})

    def interval(result: dict[str, Any]) -> str:
        return f"{100 * result['value']:.1f} ±{50 * (result['high'] - result['low']):.1f}"

    def cell(row: dict[str, Any], group: str) -> str:
        return f"{interval(row['ciou_mean'][group])} / {100 * row['ciou_auc'][group]:.1f}"

    def limits(values: Sequence[float]) -> str:
        return f"({100 * min(values):.1f}-{100 * max(values):.1f})"

    def spread(values: Sequence[float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{100 * np.mean(known):.1f} {limits(known)}" if known else NOTHING

    def mean(values: Sequence[float], unit: float) -> str:
        value = np.mean(values) / unit if values else np.nan
        return NOTHING if np.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    return Table(
        title=f"ciou_mean / AUC in %, protocol {protocol.label}; mean of the seeds {', '.join(map(str, seeds))}",
        header=["variant", "seeds", *GROUPS, "mismatched: falls by", "off_screen tn_rate", *COSTS],
        rows=[
            [
                name,
                str(len(row["seeds"])),
                *(cell(row, group) for group in GROUPS),
                spread(row["mismatched_falls_by"]),
                f"{interval(row['tn_rate'])} {limits(row['tn_rate']['by_seed'])}",
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
            "A centred disk: " + ", ".join(f"{group} {100 * value:.1f}" for group, value in disk.items()) + ".",
            "fit: wall time of training and validation; clip: time to localize one clip, without reading it. Both were "
            "measured while the other runs used the machine, and are means over the seeds.",
            "mismatched: by how much ciou_mean over all on-screen samples falls with the audio of another clip.",
        ],
    )


def _curves(runs: Sequence[SweepRun], scalar: str) -> dict[str, list[np.ndarray]]:
    """Variant -> (N, 2) steps and values of a logged scalar, one array a seed."""
    curves: dict[str, list[np.ndarray]] = {}
    for run in runs:
        events = EventAccumulator(str(run.folder)).Reload()
        if scalar in events.Tags()["scalars"]:
            curves.setdefault(run.name, []).append(np.array([(e.step, e.value) for e in events.Scalars(scalar)]))
    return curves


def _samples(run: SweepRun) -> list[dict[str, str]]:
    """The lines of ``per_sample.csv``."""
    with (run.test_folder / PER_SAMPLE).open(newline="") as lines:
        return list(csv.DictReader(lines))


def _protocol(runs: Sequence[SweepRun]) -> Protocol:
    """The protocol that the runs were tested by."""
    return Protocol.of(json.loads((runs[0].test_folder / RESULTS).read_text())["metrics"]["protocol"])


def _in_group(rows: Sequence[dict[str, str]], group: str) -> list[dict[str, str]]:
    """The samples of a scenario; for ``on_screen`` and ``cross_event``, those of all scenarios but off_screen."""
    if group == "on_screen":
        return [row for row in rows if row["scenario"] != Scenario.OFF_SCREEN]
    if group == "cross_event":
        return [r for r in rows if r["scenario"] != Scenario.OFF_SCREEN and r["cross_event"] in ("1", "True")]
    return [row for row in rows if group in row["scenario"].split("+")]


def _mean(
    samples: Sequence[Sequence[dict[str, str]]],
    group: str,
    column: str,
    of: Callable[[np.ndarray], np.ndarray] = lambda values: values,
) -> dict[str, Any]:
    """Mean over seeds and samples, its 95 % interval by video, and the mean of each seed."""
    chosen = [_in_group(rows, group) for rows in samples]
    values = of(np.array([[float(row[column]) for row in rows] for rows in chosen]))  # (seeds, samples)
    clips = np.unique([row["clip"] for row in chosen[0]], return_inverse=True)[1]
    low, high = bootstrap_interval(values.mean(0)[:, None], clips)[:, 0]
    return {
        "value": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "by_seed": [float(value) for value in values.mean(1)],
    }
