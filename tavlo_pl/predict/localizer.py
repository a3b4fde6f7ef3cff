"""From a video file to its maps, in memory that does not grow with its length."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.data.spectrogram import Frequencies, LogMel
from tavlo_pl.predict.sources import Localization
from tavlo_pl.predict.windows import Blender, Plan

FRAMES_AT_ONCE = 40
"""Frames that pass through the model together; a window has one a segment."""

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
class Form:
    """The form of a clip that a model was trained on; names as in ``ClipDataModule``.

    Attributes:
        segments: T.
        duration_s: length of a window in seconds.
        image_size: height and width of the frames in pixels.
        mel_bands: F.
        columns_per_segment: spectrogram columns of a segment.
        frequencies: of the spectrogram; checkpoints from before it was an option have mel.
    """

    segments: int
    duration_s: float
    image_size: int
    mel_bands: int
    columns_per_segment: int
    frequencies: Frequencies = "mel"


@dataclass(frozen=True)
class Seen:
    """Some windows with what the model was given, for whoever wants to look closer.

    Attributes:
        number: of the first window, counted from 0.
        count: of all windows of the video.
        time_s: (B, T) moments in seconds.
        frames: (B, T, 3, H, W) uint8.
        spectrogram: (B, 1, F, W).
        heatmap: (B, T, h, w).
    """

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
        form: of the clips it was trained on.
        threshold: of its checkpoint, if it has one.
        device: where it runs.
    """

    def __init__(self, model: Model, form: Form, threshold: float | None, device: torch.device) -> None:
        self.model = model
        self.form = form
        self.threshold = threshold
        self.device = device
        self.log_mel = LogMel(form.segments, form.columns_per_segment, form.mel_bands, frequencies=form.frequencies).to(
            device
        )

    def localize(
        self,
        path: Path,
        sample_id: str | None = None,
        maps_per_second: float | None = None,
        aspect: Aspect = "squash",
        advance: Callable[[float], object] = lambda seconds: None,
        look: Callable[[Seen], None] | None = None,
    ) -> Localization:
        """The maps of one video.

        Args:
            path: a video file with pictures and sound.
            sample_id: its name; the file's by default.
            maps_per_second: None for one map a segment, the model's own rate.
            aspect: ``squash`` the picture to a square, as in training, or ``keep`` its shape, with black bars.
            advance: told the seconds of video that were done since the last call.
            look: shown every batch of windows.

        Raises:
            MediaError: the file cannot be read, has no picture or no sound.
        """
        info = media.probe(path)
        plan = Plan.of(info.duration_s, self.form.segments, self.form.duration_s, maps_per_second)
        part = _part((info.height, info.width), self.form.image_size, aspect)
        reader, blender = _Reader(path, plan, part), Blender(plan)
        at_once = max(1, FRAMES_AT_ONCE // self.form.segments)
        done_s = 0.0
        for number in range(0, len(plan.starts), at_once):
            starts = plan.starts[number : number + at_once]
            frames, sound = reader.frames(starts).to(self.device), self._sound(path, plan, starts)
            with torch.inference_mode():
                spectrogram = self.log_mel(sound)
                maps = self.model.localize(frames, spectrogram).float()
                if look is not None:
                    times_s = np.stack([plan.moment_s(plan.of_window(start)) for start in starts])
                    look(Seen(number, len(plan.starts), times_s, frames, spectrogram, maps))
                shown = part.of_maps(maps).cpu().numpy()
            for start, window in zip(starts, shown, strict=True):
                blender.add(start, window)
            now_s = info.duration_s * min(1.0, (number + len(starts)) / len(plan.starts))
            advance(now_s - done_s)
            done_s = now_s
        time_s, heatmap = plan.resampled(blender.maps())
        size = (info.height, info.width)
        return Localization(sample_id or path.stem, path, info.duration_s, size, time_s, heatmap, self.threshold)

    def _sound(self, path: Path, plan: Plan, starts: tuple[int, ...]) -> Tensor:
        """(B, L) waveforms of some windows, from one reading."""
        first_s, last_s = int(plan.start_s(starts[0])), plan.start_s(starts[-1])
        sound = media.read_waveform(path, first_s, last_s - first_s + self.form.duration_s)
        length = round(self.form.duration_s * media.SAMPLE_RATE_HZ)
        waveforms = np.zeros((len(starts), length), np.float32)
        for waveform, start in zip(waveforms, starts, strict=True):
            piece = sound[round((plan.start_s(start) - first_s) * media.SAMPLE_RATE_HZ) :][:length]
            waveform[: len(piece)] = piece
        return torch.from_numpy(waveforms).to(self.device)


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


def _part(size: tuple[int, int], side: int, aspect: Aspect) -> _Part:
    if aspect == "squash":
        return _Part(side, side, side)
    scale = side / max(size)
    return _Part(side, max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


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
