"""A localizer whose map is the brightness of the frame, for tests that do not depend on a model."""

import time

import torch
from torch import Tensor

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.predict.localizer import Localizer

SPEC = ClipSpec(segments=4, duration_s=1.0, image_size=32, mel_bands=16, columns_per_segment=25)
CELLS = 4


class Brightness:
    """Maps of 4 x 4 cells; counts the windows and the frames."""

    def __init__(self) -> None:
        self.windows = self.frames = 0

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, 4, 4)."""
        self.windows += len(frames)
        return brightness(frames)

    sound_names = ("bell", "engine")

    def frame_features(self, frames: Tensor) -> Tensor:
        """The frames."""
        self.frames += len(frames)
        return frames

    def localize_windows(self, features: Tensor, windows: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 4, 4), and (B, T, 2): 0.25 and 0.75."""
        return self.localize(features[windows], spectrogram), torch.tensor([0.25, 0.75]).expand(*windows.shape, 2)

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, 1, 17, T, T): uniform attention over all segments."""
        batch, segments = frames.shape[:2]
        return torch.full((batch, 1, 1 + CELLS**2, segments, segments), 1 / segments)


class Slow(Brightness):
    """A model that takes a minute, in one call."""

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, 4, 4), after a minute."""
        time.sleep(60)
        return super().localize(frames, spectrogram)


def brightness(frames: Tensor) -> Tensor:
    """(…, 3, H, W) uint8 to (…, 4, 4) in [-1, 1]."""
    grey = frames.float().mean(-3)
    return torch.nn.functional.adaptive_avg_pool2d(grey.flatten(0, -3), CELLS).unflatten(0, grey.shape[:-2]) / 127.5 - 1


def localizer(threshold: float | None = 0.0) -> Localizer:
    """Windows of 1 s, 4 segments each."""
    return Localizer(Brightness(), SPEC, threshold, torch.device("cpu"))
