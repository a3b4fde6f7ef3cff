"""SLAVC, "A Closer Look at Weakly-Supervised Audio-Visual Source Localization" (arXiv 2209.09634)."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from tavlo_pl.losses.slavc import match_loss
from tavlo_pl.models.image_level import ImageLevel, all_pairs
from tavlo_pl.models.released import SLAVC_NAMES
from tavlo_pl.nn.clip_audio import ClipAudioEncoder
from tavlo_pl.nn.heads import PairHead
from tavlo_pl.nn.visual import VisualEncoder


class Heads(nn.Module):
    """The encoders with a localization and an instance head; one copy is trained, the other is its moving average.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio.
        width: D of each head.
        visual_dropout: fraction of visual features dropped before the projections.
    """

    def __init__(self, visual: VisualEncoder, audio: ClipAudioEncoder, width: int, visual_dropout: float) -> None:
        super().__init__()
        self.visual, self.audio = visual, audio
        self.dropout = nn.Dropout(visual_dropout)
        self.localization = PairHead(visual.width, audio.width, width)
        self.instance = PairHead(visual.width, audio.width, width)

    def encode_frames(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to two (N, D, h, w): localization, instance."""
        features = self.dropout(self.visual(frames))
        return self.localization.project_visual(features), self.instance.project_visual(features)

    def encode_audio(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, F, w) to two (N, D): localization, instance."""
        features = self.audio(audio)
        return self.localization.project_audio(features), self.instance.project_audio(features)


class SLAVC(ImageLevel):
    """Separate heads for localization and for matching, contrasted with a momentum copy of the encoders.

    Evaluation uses the momentum copy; its map is the mean of the two heads' cosines.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio.
        width: D of each head.
        temperature: divides the cosines.
        visual_dropout: fraction of visual features dropped before the projections.
        momentum: weight of the old value in each update of the momentum copy, in [0, 1].
        options: further options of `ImageLevel`.
    """

    released = SLAVC_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: ClipAudioEncoder,
        width: int = 512,
        temperature: float = 0.03,
        visual_dropout: float = 0.9,
        momentum: float = 0.999,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.temperature, self.momentum = temperature, momentum
        self.trained = Heads(visual, audio, width, visual_dropout)
        self.momentum_encoder = deepcopy(self.trained).requires_grad_(False)
        self.load_init()

    def encode_frames(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 2 D, h, w): the cosine of concatenated features is the mean of their cosines."""
        return torch.cat(self.momentum_encoder.encode_frames(frames), dim=1)

    def encode_audio(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) to (N, 2 D)."""
        return torch.cat(self.momentum_encoder.encode_audio(audio), dim=1)

    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """Loss of frames against momentum audio plus loss of audio against momentum frames."""
        if self.training:
            self.update_momentum()
        encoded_frames, encoded_audio = self.trained.encode_frames(frames), self.trained.encode_audio(audio)
        with torch.no_grad():
            momentum_frames, momentum_audio = (
                self.momentum_encoder.encode_frames(frames),
                self.momentum_encoder.encode_audio(audio),
            )
        localization, instance = (
            all_pairs(a.float(), v.float()) for a, v in zip(momentum_audio, encoded_frames, strict=True)
        )
        frame_loss = match_loss(localization.transpose(0, 1), instance.transpose(0, 1), self.temperature)
        localization, instance = (
            all_pairs(a.float(), v.float()) for a, v in zip(encoded_audio, momentum_frames, strict=True)
        )
        audio_loss = match_loss(localization, instance, self.temperature)
        return {"loss": frame_loss + audio_loss, "frame_loss": frame_loss, "audio_loss": audio_loss}

    @torch.no_grad()
    def update_momentum(self) -> None:
        """Updates the momentum copy; runs before each step, so that a resumed run equals an uninterrupted one."""
        for old, new in zip(self.momentum_encoder.parameters(), self.trained.parameters(), strict=True):
            old.lerp_(new, 1 - self.momentum)
