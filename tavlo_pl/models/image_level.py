"""Image-level methods in the video contract: one frame and one window of audio, without temporal modelling.

Training uses one frame of each clip with its audio. Evaluation uses the frame of every segment, with the audio around
that frame or with the audio of the whole clip; TAVLO's paper (arXiv 2507.04667) compares the two.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.models.released import Renaming, load_released
from tavlo_pl.nn.clip_audio import audio_windows, window_of_segment
from tavlo_pl.nn.guidance import ObjectGuidance
from tavlo_pl.nn.similarity import score_map


class ImageLevel(AVLocalizer):
    """Scores each cell of a frame by its cosine with a window of audio; a subclass adds encoders and loss.

    Args:
        audio_window: ``around_frame`` encodes the segments around each frame, ``clip`` all segments.
        window_segments: number of segments around a frame; at the ends of the clip the nearest complete window is used.
        train_frame: training frame of a clip: a random one or the middle one. Validation uses the middle one.
        guidance: object prior that is added to the map (OGL); used in evaluation, not in training.
        init_from: path of weights released by the authors (``models/released.py``).
    """

    is_video_level: ClassVar[bool] = False

    released: Renaming
    """Mapping from the authors' weight names."""

    def __init__(
        self,
        audio_window: Literal["clip", "around_frame"] = "around_frame",
        window_segments: int = 3,
        train_frame: Literal["random", "centre"] = "random",
        guidance: ObjectGuidance | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        if window_segments < 1:
            raise ConfigError(
                f"model.window_segments is {window_segments}; a frame needs at least one segment of audio"
            )
        self.audio_window, self.window_segments, self.train_frame = audio_window, window_segments, train_frame
        self.guidance = guidance
        self.init_from = init_from

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) pixels in [0, 255] to (N, D, h, w) features for evaluation."""

    @abstractmethod
    def encode_audio(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) log-mel to (N, D) features for evaluation."""

    @abstractmethod
    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """The objective on one frame and one window of audio per clip.

        Args:
            frames: (B, 3, H, W) uint8.
            audio: (B, 1, F, w) log-mel.

        Returns:
            Scalars by name; ``loss`` is what is minimised.
        """

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) cosine of each frame's cells with the audio of its window; see the base class."""
        return self.localize_each(frames, [spectrogram])[0]

    def localize_each(self, frames: Tensor, spectrograms: Sequence[Tensor]) -> list[Tensor]:
        """`localize` for several spectrograms; encodes the frames once."""
        cells = self.encode_frames(frames.flatten(0, 1)).float()  # (BT, D, h, w)
        return [self._map(frames, cells, spectrogram) for spectrogram in spectrograms]

    def _map(self, frames: Tensor, cells: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, h, w) scores of (BT, D, h, w) encoded frames."""
        batch, segments = frames.shape[:2]
        width = self._width(segments)
        windows = audio_windows(spectrogram, segments, width)  # (B, S, 1, F, w)
        encoded_audio = self.encode_audio(windows.flatten(0, 1)).float().unflatten(0, (batch, -1))  # (B, S, D)
        audio = encoded_audio[:, window_of_segment(segments, width)]  # (B, T, D)
        scores = score_map(audio, as_tokens(cells).unflatten(0, (batch, segments)))  # (B, T, hw)
        maps: Tensor = scores.unflatten(-1, cells.shape[-2:])
        return maps if self.guidance is None else self.guidance.guide(maps, frames)

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The objective on one frame of each clip; see the base class."""
        batch, segments = frames.shape[:2]
        chosen = torch.full((batch,), segments // 2)
        if self.training and self.train_frame == "random":
            chosen = torch.randint(segments, (batch,))
        width, rows = self._width(segments), torch.arange(batch)
        audio = audio_windows(spectrogram, segments, width)[rows, window_of_segment(segments, width)[chosen]]
        return self.image_loss(frames[rows, chosen], audio)

    def load_init(self) -> None:
        """Loads the authors' weights if ``init_from`` is given; called at the end of a subclass's constructor.

        Raises:
            CheckpointError: the file is missing or unreadable, or its weights do not fit.
        """
        if self.init_from is not None:
            load_released(self, self.init_from, self.released)

    def _width(self, segments: int) -> int:
        return segments if self.audio_window == "clip" else min(self.window_segments, segments)


def as_tokens(cells: Tensor) -> Tensor:
    """(N, D, h, w) cells to (N, hw, D) tokens in reading order."""
    return cells.flatten(2).transpose(1, 2)


def all_pairs(audio: Tensor, cells: Tensor) -> Tensor:
    """(A, D) audio features and (V, D, h, w) cells, all of unit length, to (A, V, hw) cosines."""
    return torch.einsum("ad,vds->avs", audio, cells.flatten(2))
