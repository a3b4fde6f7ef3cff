"""Random transforms of training clips. A transform is the same for all frames of a clip.

All draws come from a generator argument that the caller seeds with (seed, epoch, index), so that resuming repeats them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import functional as F

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import ConfigError

CROP_RATIO = 4 / 3
"""A crop's width over its height is between its inverse and this, as in torchvision's RandomResizedCrop."""


LENGTH_TOLERANCE = 1e-6
"""Relative tolerance of the length of a clip as a multiple of that of a training segment."""


@dataclass(frozen=True)
class Augment:
    """The transforms of training clips and their strength; only mirroring is on by default.

    Args:
        flip: mirror half of the clips.
        crop_scale: crop a random part of at least this share of the frame's area and scale it to the full size; 1 for
            no crop. Frames are decoded at a size at which no crop is scaled up.
        colour: multiply brightness, contrast and saturation by factors from 1 - colour to 1 + colour; 0 to 1.
        hue: rotate the hue by up to this share of the circle; 0 to 0.5.
        gain_db: change the level of the audio by up to this many decibels up or down.
        mask_time_s: set a time span of the spectrogram of up to this length to the spectrogram's mean (SpecAugment,
            arXiv 1904.08779, without warping).
        mask_bands: set up to this many adjacent mel bands to the spectrogram's mean.
        segments: take a random part of this many segments of each clip; None takes whole clips. At equal cost, a batch
            of shorter parts has more clips, and so more negatives.
        segment_s: length of a segment in training; None for that of validation, test and prediction,
            ``clip.duration_s / clip.segments``. With ``segments: 1``, heads on frozen encoders learn from one frame and
            a whole window of the audio encoder, and give maps at shorter distances in time.
        random_moment: show a random moment of each segment, at the same place in all of them; false shows the centre,
            as in evaluation. Where short segments have to be compared in time, the former hides when a sound begins.

    Raises:
        ConfigError: a number out of range.
    """

    flip: bool = True
    crop_scale: float = 1.0
    colour: float = 0.0
    hue: float = 0.0
    gain_db: float = 0.0
    mask_time_s: float = 0.0
    mask_bands: int = 0
    segments: int | None = None
    segment_s: float | None = None
    random_moment: bool = True

    def __post_init__(self) -> None:
        if not (0 < self.crop_scale <= 1 and 0 <= self.colour <= 1 and 0 <= self.hue <= 0.5):
            raise ConfigError("data.augment needs crop_scale above 0 to 1, colour from 0 to 1 and hue from 0 to 0.5.")
        if min(self.gain_db, self.mask_time_s, self.mask_bands) < 0:
            raise ConfigError("data.augment.gain_db, mask_time_s and mask_bands must not be negative.")
        if self.segment_s is not None and not 0 < self.segment_s < math.inf:
            raise ConfigError(f"data.augment.segment_s is {self.segment_s}; it must be positive, or null")

    def training_clip(self, clip: ClipSpec) -> tuple[int, ClipSpec]:
        """The number of training segments in a whole clip, and the format of a training item.

        Args:
            clip: the format of whole clips.

        Raises:
            ConfigError: a clip is not a whole number of training segments, or an item is longer than a clip.
        """
        segment_s = clip.duration_s / clip.segments if self.segment_s is None else self.segment_s
        whole = round(clip.duration_s / segment_s)
        if abs(whole * segment_s - clip.duration_s) > LENGTH_TOLERANCE * clip.duration_s:
            raise ConfigError(
                f"data.augment.segment_s is {segment_s:g}; clips of {clip.duration_s:g} s are no multiple of it."
            )
        part = whole if self.segments is None else self.segments
        if not 1 <= part <= whole:
            raise ConfigError(f"data.augment.segments is {part}; it must be 1 to {whole}, or null")
        return whole, replace(clip, segments=part, duration_s=clip.duration_s * part / whole)

    def read_size(self, size: int) -> int:
        """Height and width in pixels at which frames are decoded, so that the smallest crop has ``size`` pixels."""
        return math.ceil(size / math.sqrt(self.crop_scale))

    def transform_frames(self, frames: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        """Crops and changes colours: (T, 3, H, W) uint8 frames to (T, 3, size, size). Mirroring is the dataset's."""
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

    def transform_audio(self, waveform: Tensor, rng: np.random.Generator) -> Tensor:
        """(L,) waveform with a random gain."""
        return waveform * 10 ** float(rng.uniform(-self.gain_db, self.gain_db) / 20) if self.gain_db else waveform

    @property
    def has_masks(self) -> bool:
        """Whether spectrograms are masked."""
        return bool(self.mask_time_s or self.mask_bands)

    def mask_spectrogram(self, spectrogram: Tensor, duration_s: float, rng: np.random.Generator) -> Tensor:
        """(1, F, W) log-mel with up to one time span and one frequency band masked.

        Args:
            spectrogram: of one clip.
            duration_s: length of the clip.
            rng: seeded for the clip.
        """
        bands, columns = spectrogram.shape[-2:]
        masked = torch.zeros_like(spectrogram, dtype=torch.bool)
        start, end = _span(columns, min(columns, round(self.mask_time_s * columns / duration_s)), rng)
        masked[..., start:end] = True
        start, end = _span(bands, min(bands, self.mask_bands), rng)
        masked[..., start:end, :] = True
        return spectrogram.where(~masked, spectrogram.mean())


NO_AUGMENT = Augment(flip=False)
"""All off."""

DEFAULT_AUGMENT = Augment()
"""Mirroring only."""


def _span(length: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(widest + 1))
    start = int(rng.integers(length - width + 1))
    return start, start + width
