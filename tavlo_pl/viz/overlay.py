"""Heatmaps over frames: inferno colours whose opacity is the score, as in DenseAV (arXiv 2406.05629).

Scores are raw similarities. All frames of a clip share one scale, so that frames with low scores stay transparent;
scaling each frame by itself would draw silence and sound with the same brightness. An overlay does not show whether
any source of the clip is audible, because the highest score of the clip is always opaque.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tavlo_pl.types import MEAN_DB, SILENCE, SPREAD_DB
from tavlo_pl.viz.colormap import INFERNO, colour, to_level

OUTLINE = (0, 255, 200)
"""RGB of the outline of the ground truth, a colour outside of the inferno colormap."""

GAP_PX = 2
CURSOR_PX = 2

LOUDEST = (-20.0 - MEAN_DB) / SPREAD_DB
"""Spectrogram value with the highest brightness in a strip; speech and music rarely exceed it in one band."""


@dataclass(frozen=True)
class Scale:
    """Linear scale from raw scores to [0, 1] for all images of a clip.

    Attributes:
        low: raw score that is transparent.
        high: raw score that is opaque.
    """

    low: float
    high: float

    @classmethod
    def of(cls, heatmap: np.ndarray) -> "Scale":
        """Makes the scale from the lowest to the highest raw score of the clip's (T, h, w) maps."""
        return cls(float(heatmap.min()), float(heatmap.max()))

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Scales raw scores to [0, 1], same shape; all 0 for a constant clip, which has no location."""
        if self.high <= self.low:
            return np.zeros(raw.shape, np.float32)
        scaled = (raw.astype(np.float32) - self.low) / (self.high - self.low)
        clipped: np.ndarray = np.clip(scaled, 0, 1)
        return clipped


def upsample(score: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Upsamples a (h, w) map to (H, W): bilinear, corners of the outer cells at the image border (align_corners=False).

    Args:
        score: (h, w), any range.
        size: height H and width W in pixels.

    Returns:
        (H, W) float32.
    """
    height, width = size
    image = Image.fromarray(np.ascontiguousarray(score, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def blend(frame: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Blends a score map over a frame: score 0 leaves the pixel, score 1 replaces it.

    Args:
        frame: (H, W, 3) uint8 RGB.
        score: (h, w) in [0, 1], of any resolution.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if not score.any():
        return frame
    opacity = Image.fromarray(to_level(upsample(score, frame.shape[:2])))
    coloured = opacity.copy()
    coloured.putpalette(INFERNO.tobytes())
    return np.asarray(Image.composite(coloured.convert("RGB"), Image.fromarray(frame), opacity))


def map_at(heatmap: np.ndarray, frame_time_s: np.ndarray, time_s: float) -> np.ndarray:
    """Interpolates the map at a time: linear between the two adjacent segments, constant before and after.

    Args:
        heatmap: (T, h, w).
        frame_time_s: (T,) ascending, seconds.
        time_s: in seconds on the same clock.

    Returns:
        (h, w) float32.
    """
    position = float(np.interp(time_s, frame_time_s, np.arange(len(frame_time_s))))
    before = int(position)
    after = min(before + 1, len(heatmap) - 1)
    share = position - before
    blended: np.ndarray = (1 - share) * heatmap[before].astype(np.float32) + share * heatmap[after].astype(np.float32)
    return blended


def outline(frame: np.ndarray, mask: np.ndarray, width_px: int = 1) -> np.ndarray:
    """Draws the outline of a mask on the outermost pixels of the mask.

    Args:
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool; an empty one draws nothing.
        width_px: thickness of the line.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    inside = mask
    for _ in range(width_px):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    drawn = frame.copy()
    drawn[mask & ~inside] = OUTLINE
    return drawn


def frame_box(frame: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Draws a bounding box.

    Args:
        frame: (H, W, 3) uint8 RGB.
        box: left, top, right and bottom in pixels.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    height, width = frame.shape[:2]
    left, right = np.clip(np.rint(box[0::2]).astype(int), 0, width)
    top, bottom = np.clip(np.rint(box[1::2]).astype(int), 0, height)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return outline(frame, mask, max(1, round(min(height, width) / 180)))


def spectrogram_strip(mel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draws a spectrogram, low frequencies at the bottom.

    Args:
        mel: (F, W) standardised log-mel values, as the model receives them (``tavlo_pl.types``); silence is darkest.
        size: height and width in pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    level = (mel[::-1] - SILENCE) / (LOUDEST - SILENCE)
    image = Image.fromarray(colour(level)).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def with_strip(frame: np.ndarray, strip: np.ndarray, share: float) -> np.ndarray:
    """Blends a strip over the lower edge of a frame, with a cursor at a fraction of its width.

    Args:
        frame: (H, W, 3) uint8 RGB.
        strip: (height, W, 3) uint8 RGB.
        share: position of the cursor in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    drawn = frame.copy()
    height, width = strip.shape[:2]
    drawn[-height:] = strip // 4 * 3 + drawn[-height:] // 4
    x = min(width - CURSOR_PX, round(share * width))
    drawn[-height:, max(0, x) : x + CURSOR_PX] = OUTLINE
    return drawn


def resize(frame: np.ndarray, height: int) -> np.ndarray:
    """Resizes a (H, W, 3) uint8 frame to another height, bilinear, with the same aspect ratio."""
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a (h, w) bool mask to (H, W), nearest pixel."""
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def clip_strip(frames: np.ndarray, heatmap: np.ndarray, masks: Mapping[int, np.ndarray], height: int) -> np.ndarray:
    """Draws one clip: its frames, and below each the same frame with its heatmap.

    Args:
        frames: (T, H, W, 3) uint8 RGB, one a segment.
        heatmap: (T, h, w) raw scores; one scale for the clip.
        masks: ground truth by segment, (H', W') bool, outlined in both images; may be empty.
        height: of one image, in pixels.

    Returns:
        (2 · height + gap, T · width + gaps, 3) uint8 RGB.
    """
    scores = Scale.of(heatmap)(heatmap)
    above, below = [], []
    for segment, frame in enumerate(frames):
        plain = resize(frame, height)
        overlaid = blend(plain, scores[segment])
        if segment in masks:
            mask = resize_mask(masks[segment], plain.shape[:2])
            plain, overlaid = outline(plain, mask), outline(overlaid, mask)
        above.append(plain)
        below.append(overlaid)
    return contact_sheet([above, below])


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], gap: int = GAP_PX) -> np.ndarray:
    """Arranges images in rows and columns on a black background; short rows and small images leave black space.

    Args:
        rows: (H, W, 3) uint8 images of any sizes.
        gap: pixels between two images.

    Returns:
        (height, width, 3) uint8 RGB; each cell has the size of the largest image.
    """
    height = max(image.shape[0] for row in rows for image in row)
    width = max(image.shape[1] for row in rows for image in row)
    columns = max(len(row) for row in rows)
    shape = (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.zeros(shape, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = y * (height + gap), x * (width + gap)
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
