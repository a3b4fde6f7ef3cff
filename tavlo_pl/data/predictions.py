"""Saved heatmaps of any method, one ``.npz`` per sample, frame or clip, matched with the annotations.

::

    DIR/<sample_id>.npz    heatmap (T, h, w), raw scores; (h, w) for T = 1; of a long video in pieces, heatmap_0000, …
                           frame_time_s (T,), seconds, or frame_number (T,), as in the annotations; not needed for T = 1
                           frame_rate (), frames a second, optional

The file of a sample is searched by the name of the sample (``<clip>/<frame>/<scenario>``), of the frame
(``<clip>/<frame>``, or the image name alone) and of the clip, so that both a sequence of maps per video and one map per
image are supported.
"""

import hashlib
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tavlo_pl.data import media
from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip
from tavlo_pl.errors import DatasetNotFoundError, PredictionError
from tavlo_pl.types import Scenario, Targets

BATCH_SAMPLES = 64

LARGEST_BYTES = 2**30
"""Maximum size of the arrays of a file; five times that of an hour with four 64 x 64 maps per second in float32."""

MOST_CELLS = 2**24
"""Maximum number of cells of a map: 4096 x 4096."""

MAPS_A_PIECE = 4096
"""Maximum number of maps of an array; longer videos are stored in pieces. 17 minutes at four maps per second."""

ARRAYS = ("heatmap", "frame_time_s", "frame_number", "frame_rate")
"""Arrays that are read from a file."""

NAMED = 5
"""Number of other arrays that a message names if there is no heatmap."""

BROKEN = (OSError, ValueError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""Exceptions of `numpy.load` for damaged files."""


def in_pieces(heatmap: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """(T, h, w) maps as the arrays of a file: ``heatmap``, or pieces of it, ``heatmap_0000`` and so on."""
    if len(heatmap) <= MAPS_A_PIECE:
        return {"heatmap": heatmap}
    starts = range(0, len(heatmap), MAPS_A_PIECE)
    return {f"heatmap_{number:04d}": heatmap[start : start + MAPS_A_PIECE] for number, start in enumerate(starts)}


class ScoredSample(NamedTuple):
    """One (frame, scenario) to score.

    Attributes:
        index: index among all samples.
        number: index of the clip in the list of clips.
        clip: the clip.
        frame: the annotated frame.
        scenario: which of its scenarios.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    number: int
    clip: Clip
    frame: AnnotatedFrame
    scenario: Scenario

    @property
    def name(self) -> str:
        """``<clip>/<frame>/<scenario>``; of still images ``<clip>/<image>``, or ``<clip>`` for one image per clip."""
        clip, frame = self.clip.sample_id, self.frame.name
        if frame == clip:
            return clip
        return f"{clip}/{frame}/{self.scenario}" if frame.isdecimal() else f"{clip}/{frame}"

    @property
    def files(self) -> tuple[str, ...]:
        """Possible files of its map without suffix, the most specific first."""
        clip, frame = self.clip.sample_id, self.frame.name
        return self.name, f"{clip}/{frame}", *(() if frame.isdecimal() else (frame,)), clip


def samples_of(clips: Sequence[Clip]) -> list[ScoredSample]:
    """All samples, numbered in the order of clips, frames and scenarios."""
    found = [
        (number, clip, frame, scenario)
        for number, clip in enumerate(clips)
        for frame in clip.annotations
        for scenario in frame.scenarios
    ]
    return [ScoredSample(index, *sample) for index, sample in enumerate(found)]


class Heatmaps:
    """A folder of saved heatmaps.

    Args:
        folder: with the ``.npz`` files.
        frame_rate: frames per second of all videos, for map sequences that must be matched with frame numbers in time;
            otherwise the rate is read from the file, or the times from the video beside the annotations.

    Raises:
        DatasetNotFoundError: the folder does not exist or has no heatmap.
    """

    def __init__(self, folder: Path, frame_rate: float | None = None) -> None:
        self.folder = folder
        self.frame_rate = frame_rate
        walk = os.walk(folder, followlinks=True)
        paths = (Path(place, name) for place, _, names in walk for name in names if name.endswith(".npz"))
        self.names = {path.relative_to(folder).as_posix().removesuffix(".npz") for path in paths}
        if not self.names:
            raise DatasetNotFoundError(
                f"{folder}: no heatmaps there; expected files <sample_id>.npz with an array heatmap."
            )
        self._opened: tuple[str, dict[str, NDArray[np.float32]]] = ("", {})
        self._video: tuple[Path, NDArray[np.float64]] = (Path(), np.zeros(0))

    def file_of(self, sample: ScoredSample) -> str | None:
        """The name of the file with the sample's map; None if there is none."""
        return next((name for name in sample.files if name in self.names), None)

    def map_of(self, sample: ScoredSample) -> NDArray[np.float32]:
        """(h, w) raw scores of a sample that has a file: the map of the annotated frame, or the nearest one in time.

        Raises:
            PredictionError: the file cannot be read, has no map near the frame, or has no times of its maps.
        """
        name = self.file_of(sample)
        assert name is not None
        path = self.folder / f"{name}.npz"
        arrays = self._arrays(path)
        maps = arrays["heatmap"]
        place = 0 if len(maps) == 1 else self._place(arrays, sample, path)
        chosen = maps[place].astype(np.float32)
        if not np.isfinite(chosen).all():
            raise PredictionError(f"{path}: map {place} of heatmap holds NaN or infinity; write finite raw scores.")
        found: NDArray[np.float32] = chosen
        return found

    def time_s(self, sample: ScoredSample) -> float | None:
        """Presentation time of the sample's frame in seconds; None if unknown, or only known from a closed video."""
        frame = sample.frame
        if frame.time_s is not None or frame.number is None:
            return frame.time_s or 0.0  # without a number: one image per clip
        name = self.file_of(sample)
        rate = self.frame_rate
        if rate is None and name is not None and "frame_rate" in (arrays := self._arrays(self.folder / f"{name}.npz")):
            rate = float(arrays["frame_rate"])
        if rate is not None:
            return frame.number / rate
        path, times_s = self._video
        return float(times_s[frame.number]) if path == sample.clip.path and frame.number < len(times_s) else None

    def _place(self, arrays: dict[str, NDArray[np.float32]], sample: ScoredSample, path: Path) -> int:
        number = sample.frame.number
        if "frame_number" in arrays and number is not None:
            found = np.flatnonzero(arrays["frame_number"] == number)
            if not len(found):
                raise PredictionError(
                    f"{path}: frame_number lacks the annotated frame {sample.frame.name}; predict it too."
                )
            return int(found[0])
        times_s = arrays.get("frame_time_s")
        if times_s is None:
            raise PredictionError(
                f"{path}: {len(arrays['heatmap'])} maps and neither frame_time_s nor frame_number to tell them apart; "
                "write one of them."
            )
        if number is None:
            return len(times_s) // 2  # the annotated frame is the middle one
        time_s = self.time_s(sample)
        if time_s is None and sample.clip.path.is_file():
            self._video = (sample.clip.path, media.frame_times(sample.clip.path))
            time_s = self.time_s(sample)
        if time_s is None:
            raise PredictionError(
                f"{path}: {len(times_s)} maps with times, but frame {sample.frame.name} has a number and no time; give "
                "--frame_rate, or write frame_rate or frame_number into the file."
            )
        distance = np.abs(times_s - time_s)
        if distance.min() > np.diff(times_s).max():
            raise PredictionError(
                f"{path}: frame {sample.frame.name} is at {time_s:.2f} s and no map is near ({times_s[0]:.2f} to "
                f"{times_s[-1]:.2f} s); check --frame_rate and that predictions and annotations belong together."
            )
        return int(distance.argmin())

    def _arrays(self, path: Path) -> dict[str, NDArray[np.float32]]:
        """The arrays of a file; those of the last file are cached, because samples of a clip are consecutive."""
        if self._opened[0] == str(path):
            return self._opened[1]
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > LARGEST_BYTES:
                raise ValueError(f"it would unpack to {unpacked} bytes")
            with np.load(path) as arrays_in_it:
                there = arrays_in_it.files
                pieces = sorted(name for name in there if re.fullmatch(r"heatmap_\d{4}", name))
                known = "heatmap" in there or pieces
                wanted = [name for name in ARRAYS if name in there] if known else there[:NAMED]
                arrays = {name: arrays_in_it[name] for name in wanted}
                if pieces and "heatmap" not in there:
                    arrays["heatmap"] = np.concatenate([arrays_in_it[name] for name in pieces])
        except BROKEN as error:
            raise PredictionError(f"{path}: no archive of arrays ({error}); write it again.") from error
        maps = arrays.get("heatmap")
        if maps is None or maps.ndim not in (2, 3) or not maps.size or maps.dtype.kind not in "fiu":
            found = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items())
            raise PredictionError(f"{path}: needs an array heatmap (T, h, w) of numbers, found {found or 'nothing'}.")
        if np.prod(maps.shape[-2:]) > MOST_CELLS:
            raise PredictionError(
                f"{path}: maps of {maps.shape[-2]:,} x {maps.shape[-1]:,} cells are more than any has."
            )
        arrays["heatmap"] = maps.reshape(-1, *maps.shape[-2:])
        for name in ("frame_time_s", "frame_number"):
            if name in arrays and arrays[name].shape != (len(arrays["heatmap"]),):
                raise PredictionError(
                    f"{path}: {name} must have one number for each of the {len(arrays['heatmap'])} maps, found shape "
                    f"{list(arrays[name].shape)}."
                )
        self._opened = (str(path), arrays)
        return arrays


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
        size: height and width of the ground truth in pixels.

    Attributes:
        timed: whether the time of every frame was known.
        kept: of all samples read so far, one item per batch: ``mask`` packed by ``numpy.packbits``, ``time_s`` (NaN if
            unknown), ``heatmap`` of the model.
    """

    def __init__(self, samples: Sequence[ScoredSample], heatmaps: Mapping[str, Heatmaps], size: int) -> None:
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
        truth: NDArray[Any] = np.stack(
            [sample.frame.truth(sample.scenario, (self.size, self.size)) for sample in samples]
        )
        self.timed &= None not in times_s
        self.kept["time_s"].append(np.array(times_s, np.float64))  # None becomes NaN
        self.kept["mask"].append(np.packbits(truth.reshape(len(truth), -1) > 0, axis=1))
        self.kept["heatmap"].append(chosen["model"])
        for sample, mask, *found in zip(samples, truth, *chosen.values(), strict=True):
            bits = np.packbits(mask) if mask.dtype == bool else mask
            self._digests["annotations"].update(f"{sample.name}\0{self.size}\0".encode() + bits.tobytes())
            for each in found:
                self._digests["predictions"].update(f"{sample.name}\0{each.shape}\0".encode() + each.tobytes())
        batch = {name: torch.from_numpy(each[:, None]) for name, each in chosen.items()}
        return ScoredBatch(batch, self._targets(samples, truth, times_s))

    def _map(self, heatmaps: Heatmaps, sample: ScoredSample) -> NDArray[np.float32]:
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
            index=torch.tensor([sample.index for sample in samples]),
            clip=torch.tensor([sample.number for sample in samples]),
            scenario=torch.tensor([sample.scenario.id for sample in samples]),
            cross_event=torch.tensor([sample.clip.cross_event for sample in samples]),
            time_s=torch.tensor(moments, dtype=torch.float64),
            sources=torch.tensor([sample.frame.sources(sample.scenario) for sample in samples]),
            sample_id=[sample.name for sample in samples],
            category=["+".join(sample.frame.categories(sample.scenario)) for sample in samples],
        )
