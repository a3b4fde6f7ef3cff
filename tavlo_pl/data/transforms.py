"""Random changes of training clips, each the same for all frames of a clip, so that time stays consistent.

Every draw comes from a generator that is handed in, made from (seed, epoch, index): an interruption changes none.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import functional as F

from tavlo_pl.errors import ConfigError

CROP_RATIO = 4 / 3
"""A crop's width over its height is between its inverse and this, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Augment:
    """Which changes, and how strong; all are off unless asked for. (Mirroring is ``data.flip``.)

    Args:
        crop_scale: a random part of at least this share of the picture's area is cut out and scaled to the whole;
            1 cuts nothing. Pictures are read so large that no crop is scaled up.
        colour: brightness, contrast and saturation are multiplied by factors from 1 - colour to 1 + colour; 0 to 1.
        hue: the hue is turned by up to this share of the circle; 0 to 0.5.
        gain_db: the sound is made louder or softer by up to this.
        mask_time_s: a stretch of the spectrogram of up to this length takes the value of its mean (SpecAugment,
            arXiv 1904.08779, without warping).
        mask_bands: so does a band of up to this many mel bands.

    Raises:
        ConfigError: a number out of range.
    """

    crop_scale: float = 1.0
    colour: float = 0.0
    hue: float = 0.0
    gain_db: float = 0.0
    mask_time_s: float = 0.0
    mask_bands: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.crop_scale <= 1 and 0 <= self.colour <= 1 and 0 <= self.hue <= 0.5):
            raise ConfigError("data.augment needs crop_scale above 0 to 1, colour from 0 to 1 and hue from 0 to 0.5.")
        if min(self.gain_db, self.mask_time_s, self.mask_bands) < 0:
            raise ConfigError("data.augment.gain_db, mask_time_s and mask_bands must not be negative.")

    def read_size(self, size: int) -> int:
        """Height and width in pixels at which pictures are read, so that the smallest crop fills ``size``."""
        return math.ceil(size / math.sqrt(self.crop_scale))

    def pictures(self, frames: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        """(T, 3, H, W) uint8 frames to (T, 3, size, size)."""
        if self.crop_scale < 1:
            area = rng.uniform(self.crop_scale, 1)
            ratio = math.exp(rng.uniform(-1, 1) * math.log(CROP_RATIO))
            height, width = (
                max(1, min(whole, round(whole * math.sqrt(share))))
                for whole, share in zip(frames.shape[-2:], (area / ratio, area * ratio), strict=True)
            )
            top = int(rng.integers(frames.shape[-2] - height + 1))
            left = int(rng.integers(frames.shape[-1] - width + 1))
            frames = F.resized_crop(frames, top, left, height, width, [size, size], antialias=True)
        if self.colour:
            brightness, contrast, saturation = (float(factor) for factor in 1 + self.colour * rng.uniform(-1, 1, 3))
            frames = F.adjust_brightness(frames, brightness)
            frames = F.adjust_contrast(frames, contrast)
            frames = F.adjust_saturation(frames, saturation)
        if self.hue:
            frames = F.adjust_hue(frames, float(rng.uniform(-self.hue, self.hue)))
        return frames

    def sound(self, waveform: Tensor, rng: np.random.Generator) -> Tensor:
        """(L,) waveform, louder or softer."""
        return waveform * 10 ** float(rng.uniform(-self.gain_db, self.gain_db) / 20) if self.gain_db else waveform

    @property
    def masks(self) -> bool:
        """Whether spectrograms are masked."""
        return bool(self.mask_time_s or self.mask_bands)

    def spectrogram(self, spectrogram: Tensor, duration_s: float, rng: np.random.Generator) -> Tensor:
        """(1, F, W) log-mel with up to one stretch and one band masked.

        Args:
            spectrogram: of one clip.
            duration_s: length of the clip.
            rng: the clip's.
        """
        bands, columns = spectrogram.shape[-2:]
        masked = torch.zeros_like(spectrogram, dtype=torch.bool)
        start, end = _stretch(columns, min(columns, round(self.mask_time_s * columns / duration_s)), rng)
        masked[..., start:end] = True
        start, end = _stretch(bands, min(bands, self.mask_bands), rng)
        masked[..., start:end, :] = True
        return spectrogram.where(~masked, spectrogram.mean())


NOTHING = Augment()
"""All off."""


def _stretch(length: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(widest + 1))
    start = int(rng.integers(length - width + 1))
    return start, start + width
