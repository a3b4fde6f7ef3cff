"""Predictions in the layout of AVATAR's evaluator: a map every eighth frame of each video."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tavlo_pl.data import media
from tavlo_pl.data.heatmap_avatar import FRAME_STRIDE, HEATMAPS
from tavlo_pl.io.atomic import atomic_path, write_text_atomic
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.metrics.functional.in_time import blend_in_time
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions, checked_name
from tavlo_pl.predict.sources import Localization, source_text

MADE_WITH = "made_with"
"""Folder of the files that state with which checkpoint and options a video was made, and that it is finished."""


class AvatarPredictionFolder(PredictionFolder):
    """``heatmap/<video>.npy``, (T, h, w) float32 raw scores, and ``made_with/<video>.json``.

    Map k is that of frame 8 k, by linear interpolation in time between the maps of the model; before the first and
    after the last one, that map.

    Args:
        path: the folder.
        options: the layout has no overlay videos.
        made_with: see `PredictionFolder`.
        remote: see `PredictionFolder`.
    """

    def __init__(
        self, path: Path, options: PredictOptions, made_with: Mapping[str, Any], remote: OutputFolder | None = None
    ) -> None:
        super().__init__(path, replace(options, overlay_videos=False), made_with, remote)

    @override
    def files(self, sample_id: str) -> list[Path]:
        name = checked_name(sample_id)
        return [self.path / HEATMAPS / f"{name}.npy", self.path / MADE_WITH / f"{name}.json"]

    @override
    def write(self, found: Localization, source: Mapping[str, Any], advance: Callable[[float], object]) -> None:
        content = {"sample_id": found.sample_id, "video": source_text(found.path), "source": dict(source)}
        with self.new_files(found.sample_id) as (maps, mark):
            with atomic_path(maps) as part, part.open("wb") as file:
                np.save(file, maps_of_every_eighth_frame(found))
            write_text_atomic(mark, json.dumps(content | {"made_with": self.made_with}, indent=1) + "\n")

    @override
    def write_page(self) -> None:
        """Writes no page."""


def maps_of_every_eighth_frame(found: Localization) -> NDArray[np.float32]:
    """(⌈N/8⌉, h, w) maps of the frames 0, 8, 16 … of a video of N frames.

    Raises:
        MediaError: the video cannot be read.
    """
    blend = blend_in_time(found.time_s, media.frame_times(found.path)[::FRAME_STRIDE])
    weight = blend.weight[:, None, None]
    maps: NDArray[np.float32] = (1 - weight) * found.heatmap[blend.first] + weight * found.heatmap[blend.second]
    return maps
