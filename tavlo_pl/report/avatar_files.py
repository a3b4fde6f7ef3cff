"""The files that AVATAR's own evaluator writes, so that its users can check results of this package and the reverse.

::

    heatmap_threshold.json     "0.1", "0.15", "0.2" -> the score that this share of all values reaches
    evaluation_results.json    <video>_<frame number> -> ciou (null without a visible source), the four scenario flags,
                               and for off-screen frames off_screen_tn and off_screen_fp, numbers of pixels

The names of the files and the keys ``<video>_<frame number>`` are those of the authors; they do not document the names
inside an entry, except those of the scenarios.
"""

import json
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.figure import MODEL_ROW, TN_RATE
from tavlo_pl.metrics.protocols import Protocol
from tavlo_pl.types import TASKS

THRESHOLDS = "heatmap_threshold.json"
EVALUATION = "evaluation_results.json"
LEVELS = ("0.1", "0.15", "0.2")


def write_avatar_results(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    protocol: Protocol,
    thresholds: Callable[[Sequence[Fraction]], list[float]],
) -> list[str]:
    """Writes the files of AVATAR's evaluator; that of thresholds only with a universal rule.

    Args:
        folder: where the files go.
        rows: `LocalizationSuite.samples`, one a frame.
        protocol: by which they were measured.
        thresholds: returns the model's scores at some quantiles.

    Returns:
        The names of the files.
    """
    rule, pixels = protocol.rules[0], math.prod(protocol.size)
    entries = {row["sample_id"].replace("/", "_"): _entry(row, rule, pixels) for row in rows}
    written: dict[str, Any] = {EVALUATION: entries}
    if rule.startswith("universal"):
        scores = thresholds([1 - Fraction(level) for level in LEVELS])
        written = {THRESHOLDS: dict(zip(LEVELS, scores, strict=True)), **written}
    for name, content in written.items():
        write_text_atomic(folder / name, json.dumps(content, indent=1) + "\n")
    return list(written)


def _entry(row: dict[str, Any], rule: str, pixels: int) -> dict[str, Any]:
    """What is written of one frame."""
    scenarios = row["scenario"].split("+")
    entry: dict[str, Any] = {"ciou": row[f"{MODEL_ROW}/{rule}"]}
    entry |= {task: str(scenario) in scenarios for scenario, task in TASKS.items()}
    share = row.get(f"{MODEL_ROW}/{TN_RATE}")
    if share is not None:
        counted = round(pixels * (1 - row["area"]))
        negatives = round(share * counted)
        entry |= {"off_screen_tn": negatives, "off_screen_fp": counted - negatives}
    return entry
