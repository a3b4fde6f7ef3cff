"""Heatmaps over frames: inferno colours whose opacity is the score, as in DenseAV (arXiv 2406.05629).

Scores are raw similarities; a whole clip shares one scale, so that a film shows when there is much to hear
and see and when there is little. Stretching each frame by itself would light up silence as brightly as sound.
What a film cannot tell is whether anything in the clip sounds at all: the clip's own highest score is opaque.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tavlo_pl.types import MEAN_DB, SILENCE, SPREAD_DB
from tavlo_pl.viz.colormap import INFERNO, colour, to_level

OUTLINE = (0, 255, 200)
"""RGB of the ground truth's outline, a colour that inferno has not."""

GAP_PX = 2
CURSOR_PX = 2

LOUDEST = (-20.0 - MEAN_DB) / SPREAD_DB
"""Value of a spectrogram that is brightest in a strip: speech and music seldom have more in one band."""


@dataclass(frozen=True)
class Scale:
    """What counts as 0 and as 1 in the picture of a clip.

    Attributes:
        low: raw score that is invisible.
        high: raw score that is opaque and brightest.
    """

    low: float
    high: float

    @classmethod
    def of(cls, heatmap: np.ndarray) -> "Scale":
        """From the lowest to the highest raw score of the clip's (T, h, w) maps."""
        return cls(float(heatmap.min()), float(heatmap.max()))

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Raw scores to [0, 1], same shape; all 0 if the clip is flat, for a flat map points nowhere."""
        if self.high <= self.low:
            return np.zeros(raw.shape, np.float32)
        scaled = (raw.astype(np.float32) - self.low) / (self.high - self.low)
        return np.clip(scaled, 0, 1)


def upsample(score: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A (h, w) map at (H, W), bilinear with the corners of the outer cells, not their centres, at the rim.

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
    """Lays a score map over a frame: score 0 leaves the pixel, score 1 covers it.

    Args:
        frame: (H, W, 3) uint8 RGB.
        score: (h, w) in [0, 1], already scaled; any resolution.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    opacity = Image.fromarray(to_level(upsample(score, frame.shape[:2])))
    colour = opacity.copy()
    colour.putpalette(INFERNO.tobytes())
    return np.asarray(Image.composite(colour.convert("RGB"), Image.fromarray(frame), opacity))


def map_at(heatmap: np.ndarray, frame_time_s: np.ndarray, time_s: float) -> np.ndarray:
    """The map at any moment: linear between the two segments' frames around it, constant before and after.

    Args:
        heatmap: (T, h, w).
        frame_time_s: (T,) ascending, seconds.
        time_s: the moment, on the same clock.

    Returns:
        (h, w) float32.
    """
    position = float(np.interp(time_s, frame_time_s, np.arange(len(frame_time_s))))
    before = int(position)
    after = min(before + 1, len(heatmap) - 1)
    share = position - before
    return (1 - share) * heatmap[before].astype(np.float32) + share * heatmap[after].astype(np.float32)


def outline(frame: np.ndarray, mask: np.ndarray, width_px: int = 1) -> np.ndarray:
    """Draws the rim of a mask, on the mask's own pixels.

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


def frame_box(picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Draws a frame around a source.

    Args:
        picture: (H, W, 3) uint8 RGB.
        box: left, top, right and bottom in pixels.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    height, width = picture.shape[:2]
    left, right = np.clip(np.rint(box[0::2]).astype(int), 0, width)
    top, bottom = np.clip(np.rint(box[1::2]).astype(int), 0, height)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return outline(picture, mask, max(1, round(min(height, width) / 180)))


def spectrogram_strip(mel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A spectrogram as a picture, low tones at the bottom.

    Args:
        mel: (F, W) as the model hears it, standardised (``tavlo_pl.types``): silence is the darkest.
        size: height and width in pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    level = (mel[::-1] - SILENCE) / (LOUDEST - SILENCE)
    image = Image.fromarray(colour(level)).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def with_strip(picture: np.ndarray, strip: np.ndarray, share: float) -> np.ndarray:
    """Lays a strip over the lower rim of a picture, with a cursor at a share of its width.

    Args:
        picture: (H, W, 3) uint8 RGB.
        strip: (height, W, 3) uint8 RGB.
        share: 0..1, where the cursor stands.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    drawn = picture.copy()
    height, width = strip.shape[:2]
    drawn[-height:] = strip // 4 * 3 + drawn[-height:] // 4
    x = min(width - CURSOR_PX, round(share * width))
    drawn[-height:, max(0, x) : x + CURSOR_PX] = OUTLINE
    return drawn


def resize(picture: np.ndarray, height: int) -> np.ndarray:
    """A (H, W, 3) uint8 picture at another height, aspect ratio kept."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A (h, w) bool mask at (H, W), nearest pixel."""
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def clip_strip(frames: np.ndarray, heatmap: np.ndarray, masks: Mapping[int, np.ndarray], height: int) -> np.ndarray:
    """One clip of the gallery: its frames, and below each the same frame under its heatmap.

    Args:
        frames: (T, H, W, 3) uint8 RGB, one a segment.
        heatmap: (T, h, w) raw scores; one scale for the clip.
        masks: ground truth by segment, (H', W') bool, outlined in both pictures; may be empty.
        height: of one picture, in pixels.

    Returns:
        (2 · height + gap, T · width + gaps, 3) uint8 RGB.
    """
    scores = Scale.of(heatmap)(heatmap)
    above, below = [], []
    for segment, frame in enumerate(frames):
        plain = resize(frame, height)
        lit = blend(plain, scores[segment])
        if segment in masks:
            mask = resize_mask(masks[segment], plain.shape[:2])
            plain, lit = outline(plain, mask), outline(lit, mask)
        above.append(plain)
        below.append(lit)
    return contact_sheet([above, below])


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], gap: int = GAP_PX) -> np.ndarray:
    """Pictures in rows and columns on black; short rows and small pictures leave black space.

    Args:
        rows: (H, W, 3) uint8 pictures of any sizes.
        gap: pixels between two pictures.

    Returns:
        (height, width, 3) uint8 RGB; each cell has the size of the largest picture.
    """
    height = max(picture.shape[0] for row in rows for picture in row)
    width = max(picture.shape[1] for row in rows for picture in row)
    columns = max(len(row) for row in rows)
    shape = (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.zeros(shape, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = y * (height + gap), x * (width + gap)
            sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet
