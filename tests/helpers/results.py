"""Writes the files of a test with given cIoU of every sample."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tavlo_pl.metrics.figure import TN_RATE
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME
from tavlo_pl.metrics.suite import METRICS
from tavlo_pl.run.results import PER_SAMPLE, RESULTS, to_csv
from tavlo_pl.types import SCENARIOS, Scenario


def write_results(
    folder: Path,
    values: Mapping[str, float],
    rule: str = "top_half",
    cross_event: Collection[str] = (),
    **results: Any,
) -> Path:
    """Writes ``results.json`` and ``per_sample.csv``.

    Args:
        folder: output folder, created if missing.
        values: ``<clip>/<frame>/<scenario>`` -> cIoU, off-screen the share of pixels below the threshold; a name
            without slashes is a clip of one single-sound sample.
        rule: threshold rule of cIoU.
        cross_event: clips whose source changes.
        results: further fields of ``results.json``.
    """
    names = [name if "/" in name else f"{name}/00000/single_sound" for name in values]
    rows = []
    for name, value in zip(names, values.values(), strict=True):
        clip, _, scenario = name.split("/")
        chosen = TN_RATE if scenario == Scenario.OFF_SCREEN else rule
        row = {"sample_id": name, "clip": clip, "scenario": scenario, "category": f"sound of {clip}"}
        row |= {"cross_event": str(clip in cross_event), f"model/{rule}": "", f"model/{TN_RATE}": ""}
        rows.append(row | {f"whole_image/{rule}": "0.05", f"model/{chosen}": str(value)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PER_SAMPLE).write_text(to_csv(rows))
    groups = {str(s): [r for r in rows if r["scenario"] == s] for s in SCENARIOS if s != Scenario.OFF_SCREEN}
    groups["cross_event"] = [r for r in rows if r["cross_event"] == "True" and r["scenario"] != Scenario.OFF_SCREEN]
    groups["on_screen"] = [r for r in rows if r["scenario"] != Scenario.OFF_SCREEN]
    scenarios = {name: _figures(members, rule) for name, members in groups.items() if members}
    silent = [r for r in rows if r["scenario"] == Scenario.OFF_SCREEN]
    if silent:
        below = {"tn_rate": 0.9, "tn_rate_interval": [0.9, 0.9]}
        scenarios["off_screen"] = {"samples": len(silent), "clips": 1, "rows": {"model": {"universal:0.9": below}}}
    metrics = {
        "protocol": replace(AVATAR_PER_FRAME, rules=(rule,)).choices(),
        "rules": [rule],
        "size": [224, 224],
        "interpolation": "bilinear",
        "off_screen_rule": "universal:0.9",
        "figures": [figure.to_json() for metric in METRICS for figure in metric.described_figures()],
        "universal_threshold": {},
        "scenarios": scenarios,
        "breakdown": {},
        "left_out": {"clips": 0, "samples": 0, "reasons": {}},
    }
    (folder / RESULTS).write_text(json.dumps({"metrics": metrics, **results}))
    return folder


def _figures(rows: list[dict[str, str]], rule: str) -> dict[str, Any]:
    mean = float(np.mean([float(row[f"model/{rule}"]) for row in rows]))
    figures = {"ciou_at_50": mean, "ciou_mean": mean, "ciou_auc": mean, "ciou_mean_interval": [mean, mean]}
    return {"samples": len(rows), "clips": len({row["clip"] for row in rows}), "rows": {"model": {rule: figures}}}
