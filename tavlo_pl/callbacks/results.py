"""What ``tavlo test`` leaves: ``results.json``, ``per_sample.csv``, ``maps.npz`` and a table on the screen."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from tavlo_pl import __version__
from tavlo_pl.callbacks.forward_clock import ForwardClock
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.masks import pack_mask
from tavlo_pl.metrics.per_sample import PerSampleMetric
from tavlo_pl.run import directory
from tavlo_pl.run.results import MAPS, PER_SAMPLE, RESULTS, SampleMaps, to_csv
from tavlo_pl.types import Batch
from tavlo_pl.viz.table import results_tables

LARGEST_SCORE = torch.finfo(torch.float16).max
"""Of the maps in ``maps.npz``; a larger score is stored as this one, not as infinity."""


class ResultsWriter(Callback):
    """Writes what a test measured, and with which weights, so that a figure can be traced and repeated.

    ``results.json`` holds ``metrics`` (what ``LocalizationSuite.compute()`` returns), ``checkpoint``
    (``path`` and ``sha256``; null for random weights), ``data_fingerprint`` (``samples`` and ``sha256`` of their names
    and masks; null where none were seen), ``version``, ``seed``, ``data``, ``command``, ``wall_time_s``,
    ``options`` (what determines the results), ``parameters`` (their number, frozen ones too) and ``inference_s``
    (seconds a clip in the model alone; null where nothing was tested).

    The model hands its maps over: ``test_step`` returns ``{"heatmap": (B, T, h, w)}``, or None for a batch without
    annotated samples.

    Args:
        folder: where the files go.
        data: one line that says which clips were tested.
        seed: of the run.
        command: the command line.
        checkpoint: whose weights are tested.
        options: what determines the results, see `refuse_to_replace`.
    """

    def __init__(
        self,
        folder: str | Path,
        data: str = "",
        seed: int | None = None,
        command: str = "",
        checkpoint: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.data = data
        self.seed = seed
        self.command = command
        self.checkpoint = checkpoint
        self.options = dict(options or {})
        self._maps = MapKeeper()
        self._started_s = 0.0
        self._clock: ForwardClock

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks, and forgets what an earlier test kept."""
        self._maps.reset()
        self._clock = ForwardClock(pl_module)
        self._started_s = time.monotonic()

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the maps of the clips that have annotated samples."""
        if outputs is not None and len(batch["targets"].index):
            self._maps.update(outputs["heatmap"], batch)

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the files and prints the table, on the first process; the others take part in computing."""
        suite: Any = pl_module.test_suite
        metrics, samples, maps = suite.compute(), suite.samples(), self._maps.compute()
        if not trainer.is_global_zero:
            return
        results = {
            "metrics": metrics,
            "checkpoint": directory.fingerprint(self.checkpoint),
            "data_fingerprint": maps.fingerprint() if maps else None,
            "version": __version__,
            "seed": self.seed,
            "data": self.data,
            "command": self.command,
            "options": self.options,
            "wall_time_s": round(time.monotonic() - self._started_s, 3),
            "parameters": sum(p.numel() for p in pl_module.parameters()),
            "inference_s": self._clock.stop(),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / MAPS).unlink(missing_ok=True)  # an earlier test's, which would not fit these figures
        write_text_atomic(self.folder / PER_SAMPLE, to_csv(samples))
        write_text_atomic(self.folder / RESULTS, json.dumps(results, indent=2) + "\n")
        if maps:
            maps.write(self.folder / MAPS)
        print("\n" + "\n\n".join(table.to_text() for table in results_tables(metrics)) + "\n", flush=True)


class MapKeeper(PerSampleMetric):
    """Keeps the maps and masks of all annotated samples, each once, over all processes."""

    def __init__(self) -> None:
        super().__init__()
        self.compute_with_cache = False
        self.add_columns("index", "frame_time_s", "heatmap")
        self.add_text_columns("clip", "path")
        self.add_columns("sample_index", "showing", "segment", "next_segment", "blend", "time_s", "size")
        self.add_text_columns("sample_id")
        self.add_bytes_columns("mask")

    def update(self, heatmap: Tensor, batch: Batch) -> None:
        """Stores the maps and targets of a batch.

        Args:
            heatmap: (B, T, h, w) raw scores.
            batch: its clips, with at least one annotated sample.
        """
        targets = batch["targets"]
        rows = targets.row.unique().tolist()
        self.append(
            index=batch["index"][rows],
            frame_time_s=batch["frame_time"][rows],
            heatmap=heatmap[rows].clamp(-LARGEST_SCORE, LARGEST_SCORE).half(),
            clip=[batch["sample_id"][row] for row in rows],
            path=[os.path.abspath(batch["path"][row]) for row in rows],
        )
        self.append(
            sample_index=targets.index,
            showing=batch["index"][targets.row],
            segment=targets.segment,
            next_segment=targets.next_segment,
            blend=targets.blend,
            time_s=targets.time_s,
            mask=[pack_mask(mask) for mask in targets.mask.cpu().numpy() > 0],
            size=torch.tensor(targets.mask.shape[1:]).repeat(len(targets.index), 1),
            sample_id=targets.sample_id,
        )

    def compute(self) -> SampleMaps | None:
        """All samples in order of index, or None where there are none. Every process must call it."""
        shown = self.gather("index", "frame_time_s", "heatmap", "clip", "path")
        columns = ("showing", "segment", "next_segment", "blend", "time_s", "mask", "size", "sample_id")
        samples = self.gather("sample_index", *columns)
        if not len(samples["sample_index"]):
            return None
        return SampleMaps(
            sample_id=samples["sample_id"].astype(str),
            showing=np.searchsorted(shown["index"], samples["showing"]),
            segment=samples["segment"],
            next_segment=samples["next_segment"],
            blend=samples["blend"],
            time_s=samples["time_s"],
            mask=samples["mask"],
            size=samples["size"][0],
            clip=shown["clip"].astype(str),
            path=shown["path"].astype(str),
            frame_time_s=shown["frame_time_s"],
            heatmap=shown["heatmap"],
        )
