"""Computes the heatmaps of video files; frames and audio in memory do not grow with the length of a video."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import CheckpointError, MediaError
from tavlo_pl.io.remote import VideoPath
from tavlo_pl.predict.checks import Aspect, check_options
from tavlo_pl.predict.failures import as_media_error
from tavlo_pl.predict.frame_fit import FrameFit
from tavlo_pl.predict.frame_reader import FrameReader
from tavlo_pl.predict.sources import Localization, best_sounds
from tavlo_pl.predict.windows import WindowAverage, WindowPlan

FRAMES_PER_BATCH = 40
"""Frames of a batch, of one video or several; a window has one a segment."""


class Model(Protocol):
    """The part of ``AVLocalizer`` that prediction needs."""

    @property
    def sound_names(self) -> tuple[str, ...]:
        """Names of the C classes of sounds; empty where the audio encoder tells none."""

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 frames to (N, ...), each for itself."""

    def localize_windows(self, features: Tensor, windows: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """(N, ...) features of frames, (B, T) of them for each window and (B, 1, F, W) spectrograms.

        Returns:
            (B, T, h, w) raw scores, and (B, T, C) scores of the classes of sounds, each in 0..1.
        """

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, L, 1 + hw, T, T) attention weights."""


def ignore_progress(seconds: float) -> None:
    """The default of ``advance``: reports no progress."""
    del seconds


@dataclass(frozen=True)
class ModelWindows:
    """Input and output of the model for consecutive windows of a video.

    Attributes:
        sample_id: name of the video.
        first: number of the first of the B windows, counted from 0.
        total: number of windows of the video.
        time_s: (B, T) times in seconds.
        frames: (B, T, 3, H, W) uint8.
        spectrogram: (B, 1, F, W).
        heatmap: (B, T, h, w) raw scores.
    """

    sample_id: str
    first: int
    total: int
    time_s: NDArray[np.float64]
    frames: Tensor
    spectrogram: Tensor
    heatmap: Tensor


class Localizer:
    """A model with its clip format, which makes a `Localization` of a video file.

    Args:
        model: in evaluation mode, on `device`.
        spec: clip format that the model was trained on.
        threshold: of the checkpoint, if it has one.
        device: where the model runs.
    """

    def __init__(self, model: Model, spec: ClipSpec, threshold: float | None, device: torch.device) -> None:
        self.model = model
        self.spec = spec
        self.threshold = threshold
        self.device = device
        self.audio_transform = spec.audio_transform().to(device)

    def to(self, device: torch.device | str) -> "Localizer":
        """Moves the model to a device; returns a localizer there."""
        device = torch.device(device)
        if device == self.device:
            return self
        if isinstance(self.model, torch.nn.Module):
            self.model.to(device)
        return Localizer(self.model, self.spec, self.threshold, device)

    def localize(
        self,
        path: VideoPath,
        sample_id: str | None = None,
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        advance: Callable[[float], object] = ignore_progress,
    ) -> Localization:
        """Computes the heatmaps of one video.

        Args:
            path: a file with a video and an audio stream.
            sample_id: name of the video; that of the file if None.
            maps_per_second: None for one heatmap a segment.
            aspect: how frames are fitted to the square input of the model.
            advance: called with the seconds of video that were processed since the last call.

        Raises:
            ConfigError: an option has a value that is not possible.
            MediaError: the file cannot be read, or has no video or audio stream.
        """
        _, found = next(self.localize_all([(sample_id or path.stem, path)], maps_per_second, aspect, advance))
        if isinstance(found, MediaError):
            raise found
        return found

    def localize_all(
        self,
        videos: Iterable[tuple[str, VideoPath]],
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        advance: Callable[[float], object] = ignore_progress,
        on_windows: Callable[[ModelWindows], None] | None = None,
    ) -> Iterator[tuple[str, Localization | MediaError]]:
        """Computes the heatmaps of many videos; windows of several short videos share a batch.

        Args:
            videos: (name, file) of each; iterated as the videos are opened.
            maps_per_second: as in `localize`.
            aspect: as in `localize`.
            advance: as in `localize`.
            on_windows: called with the windows of a video in each batch.

        Yields:
            The name of a finished video, and its heatmaps or the error: the file cannot be read, or has no video or
            audio stream.

        Raises:
            CheckpointError: a score of the model is not finite.
        """
        check_options(maps_per_second, aspect)
        batch_size = max(1, FRAMES_PER_BATCH // self.spec.segments)
        batch: list[_VideoWindows] = []
        for sample_id, path in videos:
            try:
                with as_media_error(path):
                    video = _OpenVideo.open(sample_id, path, self.spec, maps_per_second, aspect)
                while video.num_read < len(video.plan.starts) and not video.has_failed:
                    with as_media_error(path):
                        batch.append(video.read(batch_size - sum(len(part.starts) for part in batch)))
                    if sum(len(part.starts) for part in batch) == batch_size:
                        yield from self._process(batch, advance, on_windows)
                        batch = []
            except MediaError as error:  # the batch holds no windows of it: only a finished video leaves some there
                yield sample_id, error
        if batch:
            yield from self._process(batch, advance, on_windows)

    @torch.inference_mode()
    def _process(
        self,
        batch: list["_VideoWindows"],
        advance: Callable[[float], object],
        on_windows: Callable[[ModelWindows], None] | None,
    ) -> list[tuple[str, Localization | MediaError]]:
        """Computes the heatmaps of a batch; returns the videos that are finished or have failed."""
        done: list[tuple[str, Localization | MediaError]] = []
        for part, computed in self._compute(batch):
            video = part.video
            try:
                with as_media_error(video.path):
                    if isinstance(computed, Exception):
                        raise computed
                    spectrogram, scores, sounds = computed
                    if on_windows is not None:
                        on_windows(part.to_model_windows(spectrogram, scores))
                    for start, window in zip(part.starts, video.fit.crop_maps(scores).cpu().numpy(), strict=True):
                        video.average.add(start, window)
                    for start, window in zip(part.starts, sounds[:, :, None].cpu().numpy(), strict=True):
                        video.sounds.add(start, window)
                    if part.is_last:
                        done.append((video.sample_id, video.localization(self.threshold, self.model.sound_names)))
            except MediaError as error:
                video.has_failed = True
                done.append((video.sample_id, error))
            advance(video.info.duration_s * len(part.starts) / len(video.plan.starts))
        return done

    def _compute(self, batch: list["_VideoWindows"]) -> list[tuple["_VideoWindows", tuple[Tensor, ...] | Exception]]:
        """Spectrograms, heatmaps and scores of sounds; if the batch fails, each video is computed alone."""
        sizes = [len(part.starts) for part in batch]
        try:
            features = self._features(batch)
            before = accumulate((len(part.frames) for part in batch), initial=0)
            windows = torch.cat([part.windows + first for part, first in zip(batch, before, strict=False)])
            spectrogram = self.audio_transform(torch.cat([part.waveform for part in batch]).to(self.device))
            heatmap, sounds = self.model.localize_windows(features, windows.to(self.device), spectrogram)
            heatmap = heatmap.float()
            if not bool(torch.isfinite(heatmap).all()):
                raise CheckpointError("the scores of the model are NaN or infinite; use a checkpoint of another epoch")
        except Exception as error:  # noqa: BLE001  # the caller reports it for the video
            if len(batch) == 1:
                return [(batch[0], error)]
            return [result for part in batch for result in self._compute([part])]
        computed = (tensor.split(sizes) for tensor in (spectrogram, heatmap, sounds))
        return list(zip(batch, zip(*computed, strict=True), strict=True))

    def _features(self, batch: list["_VideoWindows"]) -> Tensor:
        """The features of the frames of all videos; those that an earlier batch of a video has computed are kept."""
        new = [[n for n, k in enumerate(part.indices) if k not in part.video.features] for part in batch]
        frames = torch.cat([part.frames[rows] for part, rows in zip(batch, new, strict=True)])
        found = iter(self.model.frame_features(frames.to(self.device)) if len(frames) else ())
        for part, rows in zip(batch, new, strict=True):
            known = part.video.features | {part.indices[n]: next(found) for n in rows}
            part.video.features = {k: feature for k, feature in known.items() if k >= part.starts[0]}
        return torch.stack([part.video.features[k] for part in batch for k in part.indices])


@dataclass(frozen=True)
class _VideoWindows:
    """Consecutive windows of a video, decoded.

    Attributes:
        video: the video.
        first: number of the first window.
        starts: start indices of the B windows.
        indices: grid indices of the N frames.
        frames: (N, 3, H, W) uint8, each once.
        windows: (B, T) int64, which of the frames a window has.
        waveform: (B, L) float32, 16 kHz.
    """

    video: "_OpenVideo"
    first: int
    starts: tuple[int, ...]
    indices: list[int]
    frames: Tensor
    windows: Tensor
    waveform: Tensor

    @property
    def is_last(self) -> bool:
        """Whether the video has no further windows."""
        return self.first + len(self.starts) == len(self.video.plan.starts)

    def to_model_windows(self, spectrogram: Tensor, heatmap: Tensor) -> ModelWindows:
        """The windows with the output of the model, see `ModelWindows`."""
        plan, frames = self.video.plan, self.frames[self.windows].to(spectrogram.device)
        time_s = np.stack([plan.time_s(plan.window_indices(start)) for start in self.starts])
        return ModelWindows(self.video.sample_id, self.first, len(plan.starts), time_s, frames, spectrogram, heatmap)


@dataclass
class _OpenVideo:
    """A video that is being localized, of which the first `num_read` windows were read."""

    sample_id: str
    path: VideoPath
    info: media.MediaInfo
    spec: ClipSpec
    plan: WindowPlan
    fit: FrameFit
    num_read: int = 0
    has_failed: bool = False
    average: WindowAverage = field(init=False)
    sounds: WindowAverage = field(init=False)
    frames: FrameReader = field(init=False)
    features: dict[int, Tensor] = field(default_factory=dict)  # by grid index, of frames that a later window may need

    def __post_init__(self) -> None:
        self.average = WindowAverage(self.plan)
        self.sounds = WindowAverage(self.plan)
        self.frames = FrameReader(self.path, self.plan, self.fit)

    @classmethod
    def open(
        cls, sample_id: str, path: VideoPath, spec: ClipSpec, maps_per_second: float | None, aspect: Aspect
    ) -> "_OpenVideo":
        """Reads the headers of a file and plans its windows."""
        info = media.probe(path)
        plan = WindowPlan.of(info.duration_s, spec.segments, spec.duration_s, maps_per_second)
        return cls(sample_id, path, info, spec, plan, FrameFit.of(info, spec.image_size, aspect))

    def read(self, limit: int) -> _VideoWindows:
        """Reads the next windows, at most `limit`."""
        first, starts = self.num_read, self.plan.starts[self.num_read : self.num_read + limit]
        self.num_read += len(starts)
        return _VideoWindows(self, first, starts, *self.frames.read(starts), self._waveforms(starts))

    def _waveforms(self, starts: tuple[int, ...]) -> Tensor:
        """(B, L) waveforms of windows, cut from one decoded span."""
        first_s, last_s = int(self.plan.start_s(starts[0])), self.plan.start_s(starts[-1])
        audio = media.read_waveform(self.path, first_s, last_s - first_s + self.spec.duration_s)
        waveforms = np.zeros((len(starts), self.spec.samples), np.float32)
        for waveform, start in zip(waveforms, starts, strict=True):
            begin = round((self.plan.start_s(start) - first_s) * media.SAMPLE_RATE_HZ)
            window = audio[begin : begin + self.spec.samples]
            waveform[: len(window)] = window
        return torch.from_numpy(waveforms)

    def localization(self, threshold: float | None, sound_names: tuple[str, ...]) -> Localization:
        """The result, after all windows have been processed."""
        time_s, heatmap = self.plan.resample(self.average.result())
        _, scores = self.plan.resample(self.sounds.result())
        size = (self.info.height, self.info.width)
        sounds, info = best_sounds(scores[:, 0], sound_names), self.info
        return Localization(
            self.sample_id, self.path, info.duration_s, size, time_s, heatmap, threshold, sounds, info.notes
        )
