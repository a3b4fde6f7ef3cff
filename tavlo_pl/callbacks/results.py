"""What ``tavlo test`` leaves: ``results.json``, ``per_sample.csv`` and a table on the screen."""

import csv
import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from tavlo_pl import __version__
from tavlo_pl.viz.table import results_tables

RESULTS = "results.json"
PER_SAMPLE = "per_sample.csv"


class ResultsWriter(Callback):
    """Writes what a test measured, and with which weights, so that a figure can be traced and repeated.

    ``results.json`` holds ``metrics`` (what ``LocalizationSuite.compute()`` returns), ``checkpoint``
    (``path`` and ``sha256``; null for random weights), ``version``, ``seed``, ``data``, ``wall_time_s``.

    Args:
        folder: where both files go.
        data: one line that says which clips were tested.
        seed: of the run.
    """

    def __init__(self, folder: str | Path, data: str = "", seed: int | None = None) -> None:
        self.folder = Path(folder)
        self.data = data
        self.seed = seed
        self._started_s = 0.0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started_s = time.monotonic()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes both files and prints the table, on the first process; the others take part in computing."""
        suite: Any = pl_module.test_suite
        metrics, samples = suite.compute(), suite.samples()
        if not trainer.is_global_zero:
            return
        results = {
            "metrics": metrics,
            "checkpoint": _checkpoint(trainer.ckpt_path),
            "version": __version__,
            "seed": self.seed,
            "data": self.data,
            "wall_time_s": round(time.monotonic() - self._started_s, 3),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_whole(self.folder / PER_SAMPLE, _to_csv(samples))
        _write_whole(self.folder / RESULTS, json.dumps(results, indent=2) + "\n")
        print("\n" + "\n\n".join(table.to_text() for table in results_tables(metrics)) + "\n", flush=True)


def _checkpoint(path: str | Path | None) -> dict[str, str] | None:
    if path is None:
        return None
    with Path(path).open("rb") as file:
        return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _to_csv(rows: list[dict[str, Any]]) -> str:
    """One line a row; columns in the order in which rows name them first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
    """Writes beside and renames, so that there is never half a file under the name."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
