"""Decodes the frames of a video's windows once each, some seconds at a time."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.io.remote import VideoPath
from tavlo_pl.predict.frame_fit import FrameFit
from tavlo_pl.predict.windows import WindowPlan

READ_AHEAD_S = 10.0
"""Seconds of frames that are decoded at a time; each read decodes from the key frame before it."""


class FrameReader:
    """The frames of consecutive windows; each is decoded once and kept until no further window needs it."""

    def __init__(self, path: VideoPath, plan: WindowPlan, fit: FrameFit) -> None:
        self.path, self.plan, self.fit = path, plan, fit
        self.kept: dict[int, NDArray[np.uint8]] = {}
        self.next_index = 0  # grid index of the first frame that is not yet decoded
        self.end = plan.starts[-1] + (plan.segments - 1) * plan.phases + 1

    def read(self, starts: tuple[int, ...]) -> tuple[list[int], Tensor, Tensor]:
        """Returns grid indices of N frames, each once, (N, 3, side, side) uint8, and (B, T) which a window has."""
        windows = np.stack([self.plan.window_indices(start) for start in starts])
        if windows.max() >= self.next_index:
            ahead = self.next_index + round(READ_AHEAD_S / self.plan.step_s)
            self._decode(min(self.end, max(ahead, int(windows.max()) + 1)))
        self.kept = {k: frame for k, frame in self.kept.items() if k >= starts[0]}
        found, places = np.unique(windows, return_inverse=True)
        indices: list[int] = found.tolist()
        frames = torch.from_numpy(np.stack([self.kept[k] for k in indices])).permute(0, 3, 1, 2)
        return indices, self.fit.pad_frames(frames).contiguous(), torch.from_numpy(places.reshape(windows.shape))

    def _decode(self, end: int) -> None:
        indices = np.arange(self.next_index, end)
        size = (self.fit.height, self.fit.width)
        clip = media.read_clip(self.path, self.plan.time_s(indices), size, 0.0, 0.0)
        self.kept |= dict(zip(indices.tolist(), clip.frames, strict=True))
        self.next_index = end
