"""Heatmaps of a live input: the model runs on the newest window again and again; delays are measured, not queued."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tavlo_pl.data.media.live import LiveBuffer, LiveWindow
from tavlo_pl.errors import CheckpointError
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.sources import Moment, Sound, best_sounds, moments_of
from tavlo_pl.viz.overlay import Scale, blend

JPEG_QUALITY = 80
SCALE_MAPS = 100
"""Number of maps whose highest score is drawn opaque."""

PATIENCE_S = 0.2
"""How long to wait for a frame before looking whether the input has ended."""


@dataclass(frozen=True)
class LiveImage:
    """An overlay, as it is shown.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        jpeg: the same image.
        moment: the source.
        sounds: the classes of sounds that are heard, best first; empty if the model tells none.
        behind_s: time from the arrival of the frame to that of the finished image.
    """

    image: NDArray[np.uint8]
    jpeg: bytes
    moment: Moment
    sounds: tuple[Sound, ...]
    behind_s: float


@dataclass
class Delays:
    """How far the images were behind the input.

    Attributes:
        behind_s: of each image.
    """

    behind_s: list[float] = field(default_factory=list)

    def summary(self, dropped: int) -> str:
        """One line with median, 95 % quantile and maximum.

        Args:
            dropped: number of frames that were decoded too late and dropped.
        """
        if not self.behind_s:
            return "no image was made"
        median, most = np.percentile(self.behind_s, [50, 95])
        return (
            f"{len(self.behind_s)} images, behind the input by {median:.2f} s (median), {most:.2f} s (95 %), "
            f"{max(self.behind_s):.2f} s (maximum); {dropped} late frames dropped"
        )


class LiveLocalizer:
    """Makes overlays of the newest windows of an input.

    Each overlay is the newest frame with the map of its segment, the last of the window: frame and map belong to the
    same moment. The other segments are the context of the model.

    Args:
        localizer: the model.
        buffer: the input.
    """

    def __init__(self, localizer: Localizer, buffer: LiveBuffer) -> None:
        self.localizer, self.buffer = localizer, buffer
        self.delays = Delays()
        self._highest: deque[float] = deque(maxlen=SCALE_MAPS)
        self._features: dict[int, Tensor] = {}  # by number of the frame

    def images(self, is_alive: Callable[[], bool]) -> Iterator[LiveImage]:
        """Yields an overlay for the newest frame, until the input has ended.

        Args:
            is_alive: whether the input can bring further frames.

        Raises:
            CheckpointError: a score of the model is not finite.
        """
        last = 0
        while True:
            alive = is_alive()
            window = self.buffer.window(last, PATIENCE_S if alive else 0.0, self._features.keys())
            if window is not None:
                last = window.numbers[-1]
                yield self._image(window)
            elif not alive:
                return

    def _image(self, window: LiveWindow) -> LiveImage:
        heatmap, sounds = self._run(window)
        threshold = self.localizer.threshold
        (moment,) = moments_of(heatmap[None], np.zeros(1), window.shown.shape[:2], threshold)
        self._highest.append(float(heatmap.max()))
        scale = Scale(float(heatmap.min()) if threshold is None else threshold, max(self._highest))
        image = blend(window.shown, scale(heatmap))
        behind_s = self.buffer.now() - window.time_s
        image = with_text(image, [*(f"{sound.name} {sound.score:.2f}" for sound in sounds), f"{behind_s:.2f} s behind"])
        jpeg = simplejpeg.encode_jpeg(image, JPEG_QUALITY, colorsubsampling="420")
        behind_s = self.buffer.now() - window.time_s
        self.delays.behind_s.append(behind_s)
        return LiveImage(image, jpeg, moment, sounds, behind_s)

    @torch.inference_mode()
    def _run(self, window: LiveWindow) -> tuple[NDArray[np.float32], tuple[Sound, ...]]:
        """The (h, w) map of the last segment and the classes of sounds heard in it."""
        localizer = self.localizer
        features = self._window_features(window)
        audio = localizer.audio_transform(torch.from_numpy(window.waveform)[None].to(localizer.device))
        shown = torch.arange(len(features), device=localizer.device)[None]
        heatmaps, sounds = localizer.model.localize_windows(features, shown, audio)
        heatmap = heatmaps[0, -1].float().cpu().numpy()
        if not np.isfinite(heatmap).all():
            raise CheckpointError("the scores of the model are NaN or infinite; use a checkpoint of another epoch")
        scores = sounds[0, -1:].float().cpu().numpy()
        return heatmap, next(iter(best_sounds(scores, localizer.model.sound_names)), ())

    def _window_features(self, window: LiveWindow) -> Tensor:
        """(T, ...) features of the frames of a window; those of earlier windows are kept while they may be used."""
        new = {number: n for n, number in enumerate(window.numbers) if number not in self._features}
        frames = torch.from_numpy(window.frames[list(new.values())]).permute(0, 3, 1, 2).contiguous()
        found = self.localizer.model.frame_features(frames.to(self.localizer.device))
        known = self._features | dict(zip(new, found, strict=True))
        self._features = {number: feature for number, feature in known.items() if number >= min(window.numbers)}
        return torch.stack([known[number] for number in window.numbers])


def with_text(image: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """Writes lines of text into the lower left corner of a (H, W, 3) image; returns a copy."""
    drawn = Image.fromarray(image)
    size = max(10, image.shape[0] // 24)
    position = (size // 2, image.shape[0] - size // 2)
    ImageDraw.Draw(drawn).text(
        position,
        "\n".join(lines),
        fill="white",
        stroke_width=2,
        stroke_fill="black",
        anchor="ld",
        font=ImageFont.load_default(size),
    )
    return np.array(drawn)
