"""Saved heatmaps of any method, one ``.npz`` per sample, frame or clip, matched with the annotations.

::

    DIR/<sample_id>.npz    heatmap (T, h, w), raw scores; (h, w) for T = 1; of a long video in pieces, heatmap_0000, …
                           frame_time_s (T,), seconds, or frame_number (T,), as in the annotations; not needed for T = 1
                           frame_rate (), frames a second, optional

The file of a sample is searched by the name of the sample (``<clip>/<frame>/<scenario>``), of the frame
(``<clip>/<frame>``, or the image name alone) and of the clip, so that both a sequence of maps per video and one map per
image are supported.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data import media
from tavlo_pl.data.scored_samples import ScoredSample
from tavlo_pl.errors import DatasetNotFoundError, PredictionError
from tavlo_pl.io.arrays import BROKEN, ArrayFile, Schema
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.walk import walk_files
from tavlo_pl.metrics.functional.in_time import Blend, blend_in_time
from tavlo_pl.metrics.protocols import TimeChoice

LARGEST_BYTES = 2**30
"""Maximum size of the arrays of a file; five times that of an hour with four 64 x 64 maps per second in float32."""

MOST_CELLS = 2**24
"""Maximum number of cells of a map: 4096 x 4096."""

MAPS_A_PIECE = 4096
"""Maximum number of maps of an array; longer videos are stored in pieces. 17 minutes at four maps per second."""

MAPS = Schema("fiu", (2, 3))
"""Of the maps; values are checked where they are used."""

ABOUT = {
    "frame_time_s": Schema("fiu", (1,), -1e9, 1e9),
    "frame_number": Schema("fiu", (1,), 0, 1e12),
    "frame_rate": Schema("fiu", (0, 1), 1e-3, 1e6),
}
"""Further arrays that are read from a file."""

OF_PREDICT = {"duration_s", "size", "frame_time_s"}
"""Arrays by which heatmaps of ``tavlo predict`` are recognised."""

NAMED = 5
"""Number of other arrays that a message names if there is no heatmap."""

ONE_MAP = Blend(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32))


def in_pieces(heatmap: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """(T, h, w) maps as the arrays of a file: ``heatmap``, or pieces of it, ``heatmap_0000`` and so on."""
    if len(heatmap) <= MAPS_A_PIECE:
        return {"heatmap": heatmap}
    starts = range(0, len(heatmap), MAPS_A_PIECE)
    return {f"heatmap_{number:04d}": heatmap[start : start + MAPS_A_PIECE] for number, start in enumerate(starts)}


class HeatmapFolder:
    """A folder of saved heatmaps.

    Args:
        folder: with the files, at any depth.
        frame_rate: frames per second of all videos, for map sequences that must be matched with frame numbers in time;
            otherwise the rate is read from the file, or the times from the video beside the annotations.
        time: the map of a frame between two maps, see `Protocol.time`.

    Attributes:
        names: of all files, relative to the folder and without suffix.

    Raises:
        DatasetNotFoundError: the folder does not exist or has no heatmap.
    """

    suffix = ".npz"
    expected = "files <sample_id>.npz with an array heatmap"

    def __init__(self, folder: Path, frame_rate: float | None = None, time: TimeChoice = "nearest") -> None:
        self.folder = folder
        self.frame_rate = frame_rate
        self.time = time
        paths = (path for path in walk_files(folder) if path.name.endswith(self.suffix))
        self.names = {path.relative_to(folder).as_posix().removesuffix(self.suffix) for path in paths}
        if not self.names:
            raise DatasetNotFoundError(f"{folder}: no heatmaps there; expected {self.expected}.")
        self._opened: tuple[str, dict[str, NDArray[np.float32]]] = ("", {})
        self._video: tuple[Path, NDArray[np.float64]] = (Path(), np.zeros(0))

    def file_of(self, sample: ScoredSample) -> str | None:
        """The name of the file with the sample's map; None if there is none."""
        return next((name for name in sample.files if name in self.names), None)

    def map_of(self, sample: ScoredSample) -> NDArray[np.float32]:
        """(h, w) raw scores of a sample that has a file: the map of the annotated frame, or that between two maps.

        Raises:
            PredictionError: the file cannot be read, has no map near the frame, or has no times of its maps.
        """
        name = self.file_of(sample)
        assert name is not None
        path = self.folder / f"{name}{self.suffix}"
        arrays = self._arrays(path)
        maps, places = arrays["heatmap"], self._places(arrays, sample, path)
        with np.errstate(over="ignore"):  # becomes infinity, which is refused below
            first, second = (maps[at[0]].astype(np.float32) for at in (places.first, places.second))
        weight = places.weight[0]
        blended: NDArray[np.float32] = (1 - weight) * first + weight * second if weight else first
        if not np.isfinite(blended).all():
            number = int(places.second[0] if np.isfinite(first).all() else places.first[0])
            raise PredictionError(f"{path}: map {number} of heatmap holds NaN or infinity; write finite raw scores.")
        return blended

    def time_s(self, sample: ScoredSample) -> float | None:
        """Presentation time of the sample's frame in seconds; None if unknown, or only known from a closed video."""
        frame = sample.frame
        if frame.time_s is not None or frame.number is None:
            return frame.time_s or 0.0  # without a number: one image per clip
        rate = self.frame_rate if self.frame_rate is not None else self._stored_rate(sample)
        if rate is not None:
            return frame.number / rate
        path, times_s = self._video
        return float(times_s[frame.number]) if path == sample.clip.path and frame.number < len(times_s) else None

    def _stored_rate(self, sample: ScoredSample) -> float | None:
        """Frames per second as the file of a sample states them."""
        name = self.file_of(sample)
        if name is None or "frame_rate" not in (arrays := self._arrays(self.folder / f"{name}{self.suffix}")):
            return None
        return float(arrays["frame_rate"].item())

    def _places(self, arrays: dict[str, NDArray[np.float32]], sample: ScoredSample, path: Path) -> Blend:
        """The maps of a sequence that give the map of a sample."""
        if len(arrays["heatmap"]) == 1:
            return ONE_MAP
        number = sample.frame.number
        if "frame_number" in arrays and number is not None:
            numbers = arrays["frame_number"].astype(np.float64)
            if self.time == "nearest" and number not in numbers:
                raise PredictionError(
                    f"{path}: frame_number lacks the annotated frame {sample.frame.name}; predict it too."
                )
            return self._between(numbers, number, "frames", sample, path)
        times_s = arrays.get("frame_time_s")
        if times_s is None:
            raise PredictionError(
                f"{path}: {len(arrays['heatmap'])} maps and neither frame_time_s nor frame_number to tell them apart; "
                "write one of them."
            )
        if number is None:  # the annotated frame is the middle one
            middle = np.array([len(times_s) // 2])
            return ONE_MAP._replace(first=middle, second=middle)
        time_s = self.time_s(sample)
        video = sample.clip.path
        if time_s is None and isinstance(video, Path) and video.is_file():
            self._video = (video, media.frame_times(video))
            time_s = self.time_s(sample)
        if time_s is None:
            raise PredictionError(
                f"{path}: {len(times_s)} maps with times, but frame {sample.frame.name} has a number and no time; give "
                "--frame_rate, or write frame_rate or frame_number into the file."
            )
        return self._between(times_s.astype(np.float64), time_s, "s", sample, path)

    def _between(self, moments: NDArray[np.float64], at: float, unit: str, sample: ScoredSample, path: Path) -> Blend:
        """`_choose`, if a map is near.

        Args:
            moments: (T,) seconds or frame numbers of the maps.
            at: of the annotated frame.
            unit: of both, for the message.
            sample: of the frame.
            path: of the file.

        Raises:
            PredictionError: the nearest map is farther away than maps are from each other.
        """
        ordered = np.sort(moments)
        if not np.abs(ordered - at).min() <= np.diff(ordered).max():
            raise PredictionError(
                f"{path}: frame {sample.frame.name} is at {at:.2f} {unit} and no map is near ({ordered[0]:.2f} to "
                f"{ordered[-1]:.2f} {unit}); check --frame_rate and that predictions and annotations belong together."
            )
        return self._choose(moments, at)

    def _choose(self, moments: NDArray[np.float64], at: float) -> Blend:
        """The nearest of the maps at (T,) moments in any order, or the two around a moment."""
        if self.time == "nearest":
            nearest = np.array([np.abs(moments - at).argmin()])
            return ONE_MAP._replace(first=nearest, second=nearest)
        order = np.argsort(moments, kind="stable")
        found = blend_in_time(moments[order], np.array([at]))
        return found._replace(first=order[found.first], second=order[found.second])

    def _arrays(self, path: Path) -> dict[str, NDArray[np.float32]]:
        """The arrays of a file; those of the last file are cached, because samples of a clip are consecutive."""
        if self._opened[0] != str(path):
            self._opened = (str(path), self._read(path))
        return self._opened[1]

    @staticmethod
    def _check_finished(path: Path, arrays: Collection[str]) -> None:
        """Refuses heatmaps of ``tavlo predict`` without the file that it writes with them.

        Args:
            path: of the archive.
            arrays: names of its arrays.

        Raises:
            PredictionError: there is no ``<id>.sources.json`` beside it.
        """
        if set(arrays) >= OF_PREDICT and not path.with_name(f"{path.stem}.sources.json").is_file():
            raise PredictionError(
                f"{path}: tavlo predict has not finished it, since {path.stem}.sources.json is not beside it; run "
                "predict again, or copy both files."
            )

    def _read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        """The arrays of a file, ``heatmap`` as (T, h, w)."""
        try:
            check_regular(path, None, PredictionError)
            file = ArrayFile(path, LARGEST_BYTES)
            if "heatmap" in file.members:
                raise ValueError("heatmap is no array")
            self._check_finished(path, file.names)
            pieces = sorted(name for name in file.names if re.fullmatch(r"heatmap_\d{4}", name))
            maps = ["heatmap"] if "heatmap" in file.names else pieces
            if not maps:
                found = ", ".join(file.described(NAMED)) or "nothing"
                raise PredictionError(f"{path}: needs an array heatmap (T, h, w) of numbers, found {found}.")
            about = {name: schema for name, schema in ABOUT.items() if name in file.names}
            arrays = file.read(dict.fromkeys(maps, MAPS) | about)
            for name in maps:
                check_cells(arrays[name], path)
            parts = [arrays.pop(name) for name in maps]
            arrays["heatmap"] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        except BROKEN as error:
            raise PredictionError(f"{path}: no archive of arrays ({error}); write it again.") from error
        arrays["heatmap"] = arrays["heatmap"].reshape(-1, *arrays["heatmap"].shape[-2:])
        for name in ("frame_time_s", "frame_number"):
            if name in arrays and arrays[name].shape != (len(arrays["heatmap"]),):
                raise PredictionError(
                    f"{path}: {name} must have one number for each of the {len(arrays['heatmap'])} maps, found shape "
                    f"{list(arrays[name].shape)}."
                )
        if "frame_rate" in arrays and arrays["frame_rate"].size != 1:
            raise PredictionError(
                f"{path}: frame_rate must be one number, found shape {list(arrays['frame_rate'].shape)}."
            )
        return arrays


def check_cells(maps: NDArray[Any], path: Path) -> None:
    """Checks the size of (..., h, w) maps.

    Raises:
        PredictionError: a map has more cells than any has.
    """
    if np.prod(maps.shape[-2:]) > MOST_CELLS:
        raise PredictionError(f"{path}: maps of {maps.shape[-2]:,} x {maps.shape[-1]:,} cells are more than any has.")
