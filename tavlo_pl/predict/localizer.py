"""From a video file to its maps, in memory that does not grow with its length."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import MediaError
from tavlo_pl.predict.sources import Localization
from tavlo_pl.predict.windows import Blender, Plan

FRAMES_AT_ONCE = 40
"""Frames that pass through the model together, of one video or several; a window has one a segment."""

READ_AHEAD_S = 10.0
"""Frames are read for so many seconds at a time: each reading decodes from the key frame before it."""

Aspect = Literal["squash", "keep"]


class Model(Protocol):
    """What is needed of an ``AVLocalizer``."""

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 and (B, 1, F, W) to (B, T, h, w) raw scores."""

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, L, 1 + hw, T, T) weights."""


@dataclass(frozen=True)
class Seen:
    """Some windows of a video with what the model was given, for whoever wants to look closer.

    Attributes:
        sample_id: name of the video.
        number: of the first window, counted from 0.
        count: of all windows of the video.
        time_s: (B, T) moments in seconds.
        frames: (B, T, 3, H, W) uint8.
        spectrogram: (B, 1, F, W).
        heatmap: (B, T, h, w).
    """

    sample_id: str
    number: int
    count: int
    time_s: NDArray[np.float64]
    frames: Tensor
    spectrogram: Tensor
    heatmap: Tensor


class Localizer:
    """A model with the form of its clips: video files in, `Localization` out.

    Args:
        model: in evaluation mode, on `device`.
        spec: of the clips it was trained on.
        threshold: of its checkpoint, if it has one.
        device: where it runs.
    """

    def __init__(self, model: Model, spec: ClipSpec, threshold: float | None, device: torch.device) -> None:
        self.model = model
        self.spec = spec
        self.threshold = threshold
        self.device = device
        self.log_mel = spec.log_mel().to(device)

    def localize(
        self,
        path: Path,
        sample_id: str | None = None,
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        advance: Callable[[float], object] = lambda seconds: None,
    ) -> Localization:
        """The maps of one video.

        Args:
            path: a video file with pictures and sound.
            sample_id: its name; the file's by default.
            maps_per_second: None for one map a segment, the model's own rate.
            aspect: ``squash`` the picture to a square, as in training, or ``keep`` its shape, with black bars.
            advance: told the seconds of video that were done since the last call.

        Raises:
            MediaError: the file cannot be read, has no picture or no sound.
        """
        _, found = next(self.localize_all([(sample_id or path.stem, path)], maps_per_second, aspect, advance))
        if isinstance(found, MediaError):
            raise found
        return found

    def localize_all(
        self,
        videos: Iterable[tuple[str, Path]],
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        advance: Callable[[float], object] = lambda seconds: None,
        look: Callable[[Seen], None] | None = None,
    ) -> Iterator[tuple[str, Localization | MediaError]]:
        """The maps of many videos, each as soon as it is done; windows of short ones pass through the model together.

        Args:
            videos: (name, file) of each; taken when its turn to be read comes.
            maps_per_second: as `localize`.
            aspect: as `localize`.
            advance: as `localize`.
            look: shown every batch of windows of a video.

        Yields:
            name, and maps or why there are none: the file cannot be read, has no picture or no sound.
        """
        most = max(1, FRAMES_AT_ONCE // self.spec.segments)
        batch: list[_Piece] = []
        for sample_id, path in videos:
            try:
                video = _Video.opened(sample_id, path, self.spec, maps_per_second, aspect)
                while video.read < len(video.plan.starts):
                    batch.append(video.piece(most - sum(len(piece.starts) for piece in batch)))
                    if sum(len(piece.starts) for piece in batch) == most:
                        yield from self._finish(batch, advance, look)
                        batch = []
            except MediaError as error:  # no piece of it waits: one that does is a video's last
                yield sample_id, error
        if batch:
            yield from self._finish(batch, advance, look)

    def _finish(
        self, batch: list["_Piece"], advance: Callable[[float], object], look: Callable[[Seen], None] | None
    ) -> list[tuple[str, Localization]]:
        """Maps the windows of a batch; the videos that have all their maps now."""
        sizes = [len(piece.starts) for piece in batch]
        frames = torch.cat([piece.frames for piece in batch]).to(self.device)
        with torch.inference_mode():
            spectrogram = self.log_mel(torch.cat([piece.sound for piece in batch]).to(self.device))
            maps = self.model.localize(frames, spectrogram).float()
            parts = [frames.split(sizes), spectrogram.split(sizes), maps.split(sizes)]
            for piece, seen, heard, scores in zip(batch, *parts, strict=True):
                video, plan = piece.video, piece.video.plan
                if look is not None:
                    times_s = np.stack([plan.moment_s(plan.of_window(start)) for start in piece.starts])
                    look(Seen(video.sample_id, piece.number, len(plan.starts), times_s, seen, heard, scores))
                for start, window in zip(piece.starts, video.part.of_maps(scores).cpu().numpy(), strict=True):
                    video.blender.add(start, window)
                advance(video.info.duration_s * len(piece.starts) / len(plan.starts))
        whole = [piece.video for piece in batch if piece.number + len(piece.starts) == len(piece.video.plan.starts)]
        return [(video.sample_id, video.localization(self.threshold)) for video in whole]


class _Part(NamedTuple):
    """Which part of the model's square input the picture fills.

    Attributes:
        side: of the square in pixels.
        height: of the picture in it.
        width: of the picture in it.
    """

    side: int
    height: int
    width: int

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the picture."""
        return (self.side - self.height) // 2, (self.side - self.width) // 2

    def of_maps(self, maps: Tensor) -> Tensor:
        """(..., h, w) maps of the square to maps of as many cells of the picture alone."""
        if (self.height, self.width) == (self.side, self.side):
            return maps
        rows, columns = (
            (corner + (torch.arange(cells) + 0.5) * length / cells) * 2 / self.side - 1
            for corner, length, cells in zip(self.corner, (self.height, self.width), maps.shape[-2:], strict=True)
        )
        places = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], -1)
        flat = maps.flatten(0, -3)[:, None]
        grid = places.expand(len(flat), -1, -1, -1).to(flat)
        cut = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
        return cut.reshape(maps.shape)


def _part(info: media.MediaInfo, side: int, aspect: Aspect) -> _Part:
    if aspect == "squash":
        return _Part(side, side, side)
    height, width = info.height, info.width * info.pixel_shape
    scale = side / max(height, width)
    return _Part(side, max(1, round(height * scale)), max(1, round(width * scale)))


@dataclass(frozen=True)
class _Piece:
    """Some windows of a video, read.

    Attributes:
        video: whose they are.
        number: of the first one.
        starts: first moments of all.
        frames: (B, T, 3, H, W) uint8.
        sound: (B, L) float32, 16 kHz.
    """

    video: "_Video"
    number: int
    starts: tuple[int, ...]
    frames: Tensor
    sound: Tensor


@dataclass
class _Video:
    """A video that is being localized; `read` windows were read."""

    sample_id: str
    path: Path
    info: media.MediaInfo
    spec: ClipSpec
    plan: Plan
    part: _Part
    read: int = 0
    blender: Blender = field(init=False)
    reader: "_Reader" = field(init=False)

    def __post_init__(self) -> None:
        self.blender = Blender(self.plan)
        self.reader = _Reader(self.path, self.plan, self.part)

    @classmethod
    def opened(
        cls, sample_id: str, path: Path, spec: ClipSpec, maps_per_second: float | None, aspect: Aspect
    ) -> "_Video":
        """A file, once its headers are read."""
        info = media.probe(path)
        plan = Plan.of(info.duration_s, spec.segments, spec.duration_s, maps_per_second)
        return cls(sample_id, path, info, spec, plan, _part(info, spec.image_size, aspect))

    def piece(self, most: int) -> _Piece:
        """Reads the next windows."""
        number, starts = self.read, self.plan.starts[self.read : self.read + most]
        self.read += len(starts)
        return _Piece(self, number, starts, self.reader.frames(starts), self._sound(starts))

    def _sound(self, starts: tuple[int, ...]) -> Tensor:
        """(B, L) waveforms of some windows, from one reading."""
        first_s, last_s = int(self.plan.start_s(starts[0])), self.plan.start_s(starts[-1])
        sound = media.read_waveform(self.path, first_s, last_s - first_s + self.spec.duration_s)
        length = round(self.spec.duration_s * media.SAMPLE_RATE_HZ)
        waveforms = np.zeros((len(starts), length), np.float32)
        for waveform, start in zip(waveforms, starts, strict=True):
            piece = sound[round((self.plan.start_s(start) - first_s) * media.SAMPLE_RATE_HZ) :][:length]
            waveform[: len(piece)] = piece
        return torch.from_numpy(waveforms)

    def localization(self, threshold: float | None) -> Localization:
        """What was found, once all windows are mapped."""
        time_s, heatmap = self.plan.resampled(self.blender.maps())
        size = (self.info.height, self.info.width)
        return Localization(self.sample_id, self.path, self.info.duration_s, size, time_s, heatmap, threshold)


class _Reader:
    """The frames of windows that follow each other; each frame is decoded once and kept until no window needs it."""

    def __init__(self, path: Path, plan: Plan, part: _Part) -> None:
        self.path, self.plan, self.part = path, plan, part
        self.kept: dict[int, NDArray[np.uint8]] = {}
        self.read_to = 0  # the first moment not yet read
        self.end = plan.starts[-1] + (plan.segments - 1) * plan.phases + 1

    def frames(self, starts: tuple[int, ...]) -> Tensor:
        """(B, T, 3, H, W) uint8 of the windows."""
        windows = np.stack([self.plan.of_window(start) for start in starts])
        if windows.max() >= self.read_to:
            ahead = self.read_to + round(READ_AHEAD_S / self.plan.step_s)
            self._read(min(self.end, max(ahead, int(windows.max()) + 1)))
        self.kept = {k: frame for k, frame in self.kept.items() if k >= starts[0]}
        stacked = np.stack([self.kept[k] for k in windows.ravel().tolist()])
        frames = torch.from_numpy(stacked).permute(0, 3, 1, 2).unflatten(0, windows.shape)
        bars = np.array([self.part.side - self.part.width, self.part.side - self.part.height])
        top, left = self.part.corner
        right, bottom = (bars - [left, top]).tolist()
        return F.pad(frames, (left, right, top, bottom)) if bars.any() else frames.contiguous()

    def _read(self, end: int) -> None:
        moments = np.arange(self.read_to, end)
        size = (self.part.height, self.part.width)
        decoded = media.read_clip(self.path, self.plan.moment_s(moments), size, 0.0, 0.0)
        self.kept |= dict(zip(moments.tolist(), decoded.frames, strict=True))
        self.read_to = end
