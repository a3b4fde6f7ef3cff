"""Reads samples of annotated data with their saved heatmaps, in batches."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.scored_samples import ScoredSample
from tavlo_pl.errors import PredictionError
from tavlo_pl.io.masks import pack_mask
from tavlo_pl.metrics.protocols import Size
from tavlo_pl.types import Targets

BATCH_SAMPLES = 64


class ScoredBatch(NamedTuple):
    """Maps and ground truth of N samples.

    Attributes:
        maps: name -> (N, 1, h, w) float32 raw scores.
        targets: their ground truth.
    """

    maps: dict[str, torch.Tensor]
    targets: Targets


class ScoreLoader:
    """Reads samples in batches, one batch ahead, and computes the fingerprints of maps and ground truth.

    Args:
        samples: to score; those of a clip are consecutive; at least one has a map.
        heatmaps: name -> their maps, ``model`` and those for mismatched audio; a missing map is all zeros.
        size: (height, width) of the ground truth in pixels.

    Attributes:
        timed: whether the time of every frame was known.
        kept: of all samples read so far, one item per batch: ``mask`` (`io.masks.pack_mask`), ``time_s`` (NaN if
            unknown), ``heatmap`` of the model.
    """

    def __init__(self, samples: Sequence[ScoredSample], heatmaps: Mapping[str, HeatmapFolder], size: Size) -> None:
        self.samples = samples
        self.heatmaps = heatmaps
        self.size = size
        self.timed = True
        model = heatmaps["model"]
        first = next(sample for sample in samples if model.file_of(sample) is not None)
        self._shape = (first.name, model.map_of(first).shape)
        self._digests = {"annotations": hashlib.sha256(), "predictions": hashlib.sha256()}
        self.kept: dict[str, list[NDArray[Any]]] = {"mask": [], "time_s": [], "heatmap": []}

    def __len__(self) -> int:
        return math.ceil(len(self.samples) / BATCH_SAMPLES)

    def __iter__(self) -> Iterator[ScoredBatch]:
        """The batches.

        Raises:
            PredictionError: a file cannot be read or scored, or its maps have another size than earlier ones.
        """
        parts = [self.samples[start : start + BATCH_SAMPLES] for start in range(0, len(self.samples), BATCH_SAMPLES)]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, parts[0])
            for part in parts[1:]:
                batch, ahead = ahead.result(), reader.submit(self._read, part)
                yield batch
            yield ahead.result()

    def fingerprint(self) -> dict[str, str]:
        """sha256 of names, ground truth and maps of all samples read so far."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    def _read(self, samples: Sequence[ScoredSample]) -> ScoredBatch:
        found_maps: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self.heatmaps}
        times_s = []
        for sample in samples:
            for name, heatmaps in self.heatmaps.items():
                found_maps[name].append(self._map(heatmaps, sample))
            times_s.append(self.heatmaps["model"].time_s(sample))  # while its video is still open
        chosen = {name: np.stack(maps) for name, maps in found_maps.items()}
        truth: NDArray[Any] = np.stack([each.sample.truth(self.size) for each in samples])
        self.timed &= None not in times_s
        self.kept["time_s"].append(np.array(times_s, np.float64))  # None becomes NaN
        packed = np.empty(len(truth), object)
        packed[:] = [pack_mask(mask > 0) for mask in truth]
        self.kept["mask"].append(packed)
        self.kept["heatmap"].append(chosen["model"])
        for sample, mask, *found in zip(samples, truth, *chosen.values(), strict=True):
            bits = np.packbits(mask) if mask.dtype == bool else mask
            self._digests["annotations"].update(f"{sample.name}\0{self.size}\0".encode() + bits.tobytes())
            for each in found:
                self._digests["predictions"].update(f"{sample.name}\0{each.shape}\0".encode() + each.tobytes())
        batch = {name: torch.from_numpy(each[:, None]) for name, each in chosen.items()}
        return ScoredBatch(batch, self._targets(samples, truth, times_s))

    def _map(self, heatmaps: HeatmapFolder, sample: ScoredSample) -> NDArray[np.float32]:
        name, shape = self._shape
        if heatmaps.file_of(sample) is None:
            return np.zeros(shape, np.float32)
        found = heatmaps.map_of(sample)
        if found.shape != shape:
            raise PredictionError(
                f"{heatmaps.folder}: the map of {sample.name} has {found.shape[0]}x{found.shape[1]} cells and "
                f"that of {name} {shape[0]}x{shape[1]}; write all in one size."
            )
        return found

    def _targets(
        self, samples: Sequence[ScoredSample], truth: NDArray[Any], times_s: Sequence[float | None]
    ) -> Targets:
        order = [float(sample.frame.number or 0) for sample in samples]
        moments = [number if time_s is None else time_s for number, time_s in zip(order, times_s, strict=True)]
        return Targets(
            mask=torch.from_numpy(truth),
            row=torch.arange(len(samples)),
            segment=torch.zeros(len(samples), dtype=torch.int64),
            next_segment=torch.zeros(len(samples), dtype=torch.int64),
            blend=torch.zeros(len(samples)),
            index=torch.tensor([sample.index for sample in samples]),
            clip=torch.tensor([sample.number for sample in samples]),
            scenarios=torch.tensor([each.sample.flags for each in samples]),
            cross_event=torch.tensor([sample.clip.cross_event for sample in samples]),
            time_s=torch.tensor(moments, dtype=torch.float64),
            sources=torch.tensor([len(each.sample.instances) for each in samples]),
            sample_id=[sample.name for sample in samples],
            category=[each.sample.category for each in samples],
            cue=[each.sample.cue for each in samples],
        )
