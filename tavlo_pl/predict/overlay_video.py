"""The overlay video and the poster: frames of a video under its heatmaps, with the original timing, size and audio."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tavlo_pl.data import media
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.predict.localizer import ignore_progress
from tavlo_pl.predict.sources import Localization
from tavlo_pl.viz.overlay import Scale, blend, frame_box, map_at, spectrogram_strip, with_strip

STRIP_S = 20.0
"""Seconds of audio in a spectrogram strip; the next strip follows when the cursor reaches the end."""

STRIP_BANDS = 64
STRIP_COLUMNS_PER_SECOND = 50
STRIP_MIN_HEIGHT_PX = 24
JPEG_QUALITY = 88


def scale_of(found: Localization) -> Scale:
    """Returns the colour scale of a video: from its threshold, or its lowest score, to its highest score.

    With a threshold, the frames stay unchanged where no source is visible. Without one, they do not show whether a
    source is visible.
    """
    scale = Scale.of(found.heatmap)
    return scale if found.threshold is None else Scale(found.threshold, scale.high)


def write_overlay_video(
    found: Localization,
    path: Path,
    box: bool = False,
    spectrogram: bool = False,
    advance: Callable[[float], object] = ignore_progress,
) -> None:
    """Writes the overlay video; the file is complete or absent.

    Args:
        found: the heatmaps, linearly interpolated in time between two of them.
        path: an MP4 file.
        box: draw the bounding box of a visible source.
        spectrogram: draw the spectrogram of the audio over the lower edge, with a cursor at the current time.
        advance: called with the seconds of video that were processed since the last call.

    Raises:
        MediaError: a frame of the video is damaged.
    """
    scale, strips = scale_of(found), _SpectrogramStrips(found) if spectrogram else None
    heatmap = found.heatmap
    last_s = 0.0

    def draw(frame: np.ndarray, time_s: float) -> np.ndarray:
        nonlocal last_s
        advance(time_s - last_s)
        last_s = time_s
        image = blend(frame, scale(map_at(heatmap, found.time_s, time_s)))
        if box and (edges := found.moment_at(time_s).box) is not None:
            image = frame_box(image, edges)
        return image if strips is None else strips.draw(image, time_s)

    media.map_frames(found.path, path, draw)
    advance(found.duration_s - last_s)


def write_poster(found: Localization, path: Path) -> None:
    """Writes the frame with the highest score under its heatmap as a JPEG file with square pixels.

    Raises:
        MediaError: the frame is damaged.
    """
    best = found.best
    frame = media.read_clip(found.path, [best.time_s], None, 0.0, 0.0).frames[0]
    image = Image.fromarray(blend(frame, scale_of(found)(map_at(found.heatmap, found.time_s, best.time_s))))
    pixel = media.probe(found.path).pixel_aspect_ratio
    height, width = image.height / max(pixel, 1), image.width * min(pixel, 1)  # one side shrinks, none grows
    with atomic_path(path) as part:
        resized = image.resize((max(1, round(width)), max(1, round(height))))
        resized.save(part, "JPEG", quality=JPEG_QUALITY)


class _SpectrogramStrips:
    """The spectrogram of a video in strips of `STRIP_S`, each computed when the first frame needs it."""

    def __init__(self, found: Localization) -> None:
        self.found = found
        self.length_s = min(STRIP_S, found.duration_s)
        self.log_mel = LogMel(1, max(1, round(self.length_s * STRIP_COLUMNS_PER_SECOND)), STRIP_BANDS)
        self.number, self.strip = -1, np.zeros((0, 0, 3), np.uint8)

    def draw(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """Draws the strip of a time over the (H, W, 3) image; returns a copy."""
        number = int(time_s / self.length_s)
        if number != self.number:
            self.number, self.strip = number, self._compute(number * self.length_s, image.shape[1])
        return with_strip(image, self.strip, time_s / self.length_s - number)

    def _compute(self, start_s: float, width: int) -> np.ndarray:
        audio = media.read_waveform(self.found.path, start_s, self.length_s)
        with torch.inference_mode():
            mel = self.log_mel(torch.from_numpy(audio)[None])[0, 0].numpy()
        return spectrogram_strip(mel, (max(STRIP_MIN_HEIGHT_PX, self.found.size[0] // 6), width))
