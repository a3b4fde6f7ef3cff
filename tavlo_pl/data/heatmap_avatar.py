"""Heatmaps in the layout of AVATAR's evaluator: a map every eighth frame of each video.

::

    ROOT/MODEL/heatmap/<clip>.npy    (T, h, w) or (T, 1, h, w), float16 to float64; map k is that of frame 8 k

A video of N frames has N / 8 maps, rounded up or down. Times are counted in frames: the map of an annotated frame is
interpolated between the maps before and after it, and that of the frames after the last map is the last map.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.data.heatmap_folder import HeatmapFolder, check_cells
from tavlo_pl.data.scored_samples import ScoredSample
from tavlo_pl.errors import PredictionError
from tavlo_pl.io.arrays import BROKEN, describe, read_header
from tavlo_pl.io.files import check_regular
from tavlo_pl.metrics.functional.in_time import Blend
from tavlo_pl.metrics.protocols import TimeChoice

FRAME_STRIDE = 8
"""Distance of the maps in frames, ``frame_sample_rate`` of the authors' evaluator."""

HEATMAPS = "heatmap"
"""Name of the folder with the files."""


class AvatarHeatmapFolder(HeatmapFolder):
    """A folder of heatmaps in AVATAR's layout; see `HeatmapFolder`."""

    suffix = ".npy"
    expected = "files heatmap/<clip>.npy of shape (T, h, w), a map every eighth frame"

    def file_of(self, sample: ScoredSample) -> str | None:
        """The name of the clip's file; None if there is none."""
        name = sample.clip.sample_id
        return name if name in self.names else None

    def _stored_rate(self, sample: ScoredSample) -> float | None:
        """None: the files state no frame rate."""
        del sample
        return None

    def _places(self, arrays: dict[str, NDArray[np.float32]], sample: ScoredSample, path: Path) -> Blend:
        count, number = len(arrays["heatmap"]), sample.frame.number
        if number is None or number >= FRAME_STRIDE * (count + 1):
            raise PredictionError(
                f"{path}: {count} maps, one every {FRAME_STRIDE} frames, end before the annotated frame "
                f"{sample.frame.name}; write a map for each eighth frame of the whole video."
            )
        return self._choose(FRAME_STRIDE * np.arange(count, dtype=np.float64), number)

    def _read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        check_regular(path, None, PredictionError)
        try:
            with path.open("rb") as file:
                header = read_header(file)
            maps = np.load(path, mmap_mode="r", allow_pickle=False)
        except BROKEN as error:
            raise PredictionError(f"{path}: no array of numbers ({error}); write it with numpy.save.") from error
        is_map = maps.size and maps.dtype.kind == "f" and maps.dtype.itemsize <= 8
        if not is_map or not (maps.ndim == 3 or (maps.ndim == 4 and maps.shape[1] == 1)):
            raise PredictionError(
                f"{path}: needs maps (T, h, w) or (T, 1, h, w) of type float16, float32 or float64, found "
                f"{describe(header)}."
            )
        check_cells(maps, path)
        return {"heatmap": maps.reshape(-1, *maps.shape[-2:])}


def open_heatmaps(folder: Path, frame_rate: float | None, time: TimeChoice) -> HeatmapFolder:
    """A folder of heatmaps in either layout.

    Args:
        folder: with ``<sample_id>.npz``, or with ``heatmap/<clip>.npy``.
        frame_rate: see `HeatmapFolder`.
        time: see `HeatmapFolder`.

    Raises:
        DatasetNotFoundError: the folder does not exist or has no heatmap.
    """
    found = next((place for place in (folder / HEATMAPS, folder) if any(place.glob("*.npy"))), None)
    if found is None:
        return HeatmapFolder(folder, frame_rate, time)
    return AvatarHeatmapFolder(found, frame_rate, time)
