"""The overlay film and the poster: the video under its scores, at its own rate, size and sound."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tavlo_pl.data import media
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.predict.sources import Localization
from tavlo_pl.viz.overlay import Scale, blend, frame_box, map_at, spectrogram_strip, with_strip

STRIP_S = 20.0
"""Seconds of sound that the strip shows; the next ones follow when the cursor has reached its end."""

STRIP_BANDS = 64
STRIP_COLUMNS_A_SECOND = 50
JPEG_QUALITY = 88


def scale_of(found: Localization) -> Scale:
    """One scale for the whole video: from its lowest score, or the checkpoint's threshold, to its highest.

    With a threshold a film shows nothing where no source is visible; without one it cannot tell that.
    """
    scale = Scale.of(found.heatmap)
    return scale if found.threshold is None else Scale(found.threshold, scale.high)


def write_overlay_video(
    found: Localization,
    path: Path,
    box: bool = False,
    spectrogram: bool = False,
    advance: Callable[[float], object] = lambda seconds: None,
) -> None:
    """Writes the film, beside its name first.

    Args:
        found: the maps; between two of them the film shows what lies between, linear in time.
        path: an MP4 file.
        box: frame the source where one is visible.
        spectrogram: lay the spectrogram of the sound over the lower rim, with a cursor that is now.
        advance: told the seconds of video that were done since the last call.

    Raises:
        MediaError: a frame of the video is damaged.
    """
    scale, strips = scale_of(found), _Strips(found) if spectrogram else None
    heatmap = found.heatmap
    last_s = 0.0

    def draw(frame: np.ndarray, time_s: float) -> np.ndarray:
        nonlocal last_s
        advance(time_s - last_s)
        last_s = time_s
        picture = blend(frame, scale(map_at(heatmap, found.time_s, time_s)))
        if box and (edges := found.moment_at(time_s).box) is not None:
            picture = frame_box(picture, edges)
        return picture if strips is None else strips.draw(picture, time_s)

    media.map_frames(found.path, path, draw)
    advance(found.duration_s - last_s)


def write_poster(found: Localization, path: Path) -> None:
    """The frame of the highest score under its map, as a JPEG file; pixels that are no squares are made such.

    Raises:
        MediaError: that frame is damaged.
    """
    best = found.best
    frame = media.read_clip(found.path, [best.time_s], None, 0.0, 0.0).frames[0]
    picture = Image.fromarray(blend(frame, scale_of(found)(map_at(found.heatmap, found.time_s, best.time_s))))
    pixel = media.probe(found.path).pixel_shape
    height, width = picture.height / max(pixel, 1), picture.width * min(pixel, 1)  # neither side grows
    with atomic_path(path) as part:
        shown = picture.resize((max(1, round(width)), max(1, round(height))))
        shown.save(part, "JPEG", quality=JPEG_QUALITY)


class _Strips:
    """The spectrogram of a video in pieces, each read when the film comes to it."""

    def __init__(self, found: Localization) -> None:
        self.found = found
        self.length_s = min(STRIP_S, found.duration_s)
        self.log_mel = LogMel(1, max(1, round(self.length_s * STRIP_COLUMNS_A_SECOND)), STRIP_BANDS)
        self.number, self.strip = -1, np.zeros((0, 0, 3), np.uint8)

    def draw(self, picture: np.ndarray, time_s: float) -> np.ndarray:
        """The picture with the strip of its moment."""
        number = int(time_s / self.length_s)
        if number != self.number:
            self.number, self.strip = number, self._read(number * self.length_s, picture.shape[1])
        return with_strip(picture, self.strip, time_s / self.length_s - number)

    def _read(self, start_s: float, width: int) -> np.ndarray:
        sound = media.read_waveform(self.found.path, start_s, self.length_s)
        with torch.inference_mode():
            mel = self.log_mel(torch.from_numpy(sound)[None])[0, 0].numpy()
        return spectrogram_strip(mel, (max(24, self.found.size[0] // 6), width))
