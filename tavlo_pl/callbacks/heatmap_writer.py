"""What ``tavlo predict`` leaves: ``<sample_id>.npz`` with the raw heatmap, ``<sample_id>.mp4`` to look at."""

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info

from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError, MediaError
from tavlo_pl.types import Batch, Prediction
from tavlo_pl.viz.overlay import Scale, blend, map_at

log = logging.getLogger(__name__)

NAME_BYTES = 240
"""File systems allow 255; the rest is for the suffixes."""


@dataclass
class Video:
    """The windows of one video, as they come in.

    Attributes:
        sample_id: its name.
        path: the file.
        duration_s: of the file.
        window_count: how many windows cover it.
        windows: (frame_time_s (T,), heatmap (T, h, w)) by window number.
    """

    sample_id: str
    path: Path
    duration_s: float
    window_count: int
    windows: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all windows are here."""
        return len(self.windows) == self.window_count

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """All windows in one: where two overlap, the earlier one holds, and each frame time appears once.

        Returns:
            (T,) float64 strictly ascending seconds, (T, h, w) float16 raw scores.
        """
        windows = [self.windows[number] for number in sorted(self.windows)]
        time_s = np.concatenate([window_time_s for window_time_s, _ in windows])
        heatmap = np.concatenate([window_map for _, window_map in windows])
        last_s = np.maximum.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
        new = time_s > last_s
        return time_s[new], heatmap[new]


class HeatmapWriter(BasePredictionWriter):
    """Writes each video as soon as its last window is predicted: an interrupted run keeps what it has.

    The archive holds ``heatmap`` (T, h, w) float16, raw; ``frame_time_s`` (T,) float64, on the video's clock;
    ``duration_s`` float64; ``size`` (2,) int64, height and width of the video in pixels. In the film the
    opacity of the colour is the score, on one scale for the whole video, linear in time between two maps; it
    has the video's own sound, size and frame times.

    All windows of a video must come to one process, as the data module sees to; each process writes its own.

    Args:
        folder: where the files go.
        films: also write films, which takes longer than the prediction itself.
        overwrite: write anew what a finished run left; otherwise it is kept.
    """

    def __init__(self, folder: str | Path, films: bool = True, overwrite: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.folder = Path(folder)
        self.films = films
        self.overwrite = overwrite
        self._videos: dict[str, Video] = {}
        self._settled: set[str] = set()
        self._kept = 0

    def is_finished(self, sample_id: str) -> bool:
        """Whether an earlier run left all files of a video, so that it need not be predicted again.

        Raises:
            ConfigError: the name cannot be a file name.
        """
        return not self.overwrite and all(path.is_file() for path in self._paths(sample_id))

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Prediction,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Takes the windows of a batch in and writes the videos that are complete with them.

        Raises:
            ConfigError: a name or folder where nothing can be written.
            MediaError: a frame between the predicted ones is damaged; with ``data.on_bad_clip skip`` the
                video is left without a film instead.
        """
        self._take(prediction, batch)
        for sample_id in [name for name, video in self._videos.items() if video.complete]:
            self._settled.add(sample_id)
            try:
                self._write(self._videos.pop(sample_id))
            except MediaError as error:
                if getattr(trainer.datamodule, "on_bad_clip", "error") != "skip":  # type: ignore[attr-defined]
                    raise
                log.warning("No film, only the heatmap: %s", error)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says what was kept, and forgets the videos that miss a window because it could not be read."""
        if self._kept:
            rank_zero_info(f"{self._kept} finished videos were kept; --overwrite writes them anew.")
        self._videos.clear()
        self._settled.clear()
        self._kept = 0

    def _take(self, prediction: Prediction, batch: Batch) -> None:
        bad = {clip.index for clip in batch.get("bad_clips", [])}
        heatmap = prediction["heatmap"].half().cpu().numpy()
        frame_time_s = prediction["frame_time"].double().cpu().numpy()
        for row, sample_id in enumerate(prediction["sample_id"]):
            if int(prediction["index"][row]) in bad or sample_id in self._settled:
                continue
            if sample_id not in self._videos and self.is_finished(sample_id):
                self._settled.add(sample_id)
                self._kept += 1
                continue
            number, count = map(int, batch["window"][row]) if "window" in batch else (0, 1)
            path, duration_s = Path(prediction["path"][row]), float(prediction["duration_s"][row])
            video = self._videos.setdefault(sample_id, Video(sample_id, path, duration_s, count))
            video.windows[number] = (frame_time_s[row], heatmap[row])

    def _write(self, video: Video) -> None:
        """The archive, then the film: a film without archive is not of our making and is never replaced."""
        archive, *films = self._paths(video.sample_id)
        for film in films:
            if film.is_file() and (not archive.is_file() or film.samefile(video.path)):
                raise ConfigError(f"{film} is not a film of tavlo and would be replaced; give another --out")
            film.unlink(missing_ok=True)
        frame_time_s, heatmap = video.merged()
        info = media.probe(video.path)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = archive.with_name(archive.name + ".part")
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                heatmap=heatmap,
                frame_time_s=frame_time_s,
                duration_s=np.float64(video.duration_s),
                size=np.array([info.height, info.width], np.int64),
            )
        part.replace(archive)
        scores = Scale.of(heatmap)(heatmap)
        for film in films:
            media.map_frames(video.path, film, lambda frame, time_s: blend(frame, map_at(scores, frame_time_s, time_s)))

    def _paths(self, sample_id: str) -> list[Path]:
        """The archive and, if wanted, the film."""
        name = checked_name(sample_id)
        return [self.folder / f"{name}{suffix}" for suffix in ((".npz", ".mp4") if self.films else (".npz",))]


def checked_name(sample_id: str) -> str:
    """A sample's name, if it can be a file name that stays inside its folder.

    Raises:
        ConfigError: it is empty, too long, or holds a separator or control character.
    """
    fits = 0 < len(os.fsencode(sample_id)) <= NAME_BYTES
    if not fits or re.search(r"[/\\\x00-\x1f\x7f]", sample_id):
        raise ConfigError(
            f"sample {sample_id!r} cannot be a file name (empty, over {NAME_BYTES} bytes, or with a "
            "separator or control character in it); rename the video"
        )
    return sample_id
