"""SLAVC, "A Closer Look at Weakly-Supervised Audio-Visual Source Localization" (arXiv 2209.09634)."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from tavlo_pl.losses.slavc import match_loss
from tavlo_pl.models.image_level import ImageLevel, all_pairs
from tavlo_pl.models.released import SLAVC_NAMES
from tavlo_pl.nn.clip_audio import SoundEncoder
from tavlo_pl.nn.heads import PairHead
from tavlo_pl.nn.visual import VisualEncoder


class Heads(nn.Module):
    """The encoders with a localization and an instance head; made twice, once trained and once following.

    Args:
        visual: encoder of the pictures.
        audio: encoder of a stretch of sound.
        width: D of each head.
        visual_dropout: share of visual features dropped before the projections.
    """

    def __init__(self, visual: VisualEncoder, audio: SoundEncoder, width: int, visual_dropout: float) -> None:
        super().__init__()
        self.visual, self.audio = visual, audio
        self.dropout = nn.Dropout(visual_dropout)
        self.localization = PairHead(visual.width, audio.width, width)
        self.instance = PairHead(visual.width, audio.width, width)

    def see(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to two (N, D, h, w): localization, instance."""
        features = self.dropout(self.visual(pictures))
        return self.localization.see(features), self.instance.see(features)

    def hear(self, sounds: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, F, w) to two (N, D): localization, instance."""
        features = self.audio(sounds)
        return self.localization.hear(features), self.instance.hear(features)


class SLAVC(ImageLevel):
    """Which cell and which clip are asked apart, against the answers of a slowly following copy.

    Evaluation uses the copy; its map is the mean of the two heads' cosines.

    Args:
        visual: encoder of the pictures.
        audio: encoder of a stretch of sound.
        width: D of each head.
        temperature: divides the cosines.
        visual_dropout: share of visual features dropped before the projections.
        momentum: share of its weights that the copy keeps at each step.
        options: of `ImageLevel`.
    """

    released = SLAVC_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: SoundEncoder,
        width: int = 512,
        temperature: float = 0.03,
        visual_dropout: float = 0.9,
        momentum: float = 0.999,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.temperature, self.momentum = temperature, momentum
        self.trained = Heads(visual, audio, width, visual_dropout)
        self.following = deepcopy(self.trained).requires_grad_(False)
        self.load_init()

    def see(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 2 D, h, w): the cosine of two features side by side is the mean of their cosines."""
        return torch.cat(self.following.see(pictures), dim=1)

    def hear(self, sounds: Tensor) -> Tensor:
        """(N, 1, F, w) to (N, 2 D)."""
        return torch.cat(self.following.hear(sounds), dim=1)

    def image_loss(self, pictures: Tensor, sounds: Tensor) -> dict[str, Tensor]:
        """Picture to followed sounds plus sound to followed pictures."""
        if self.training:
            self.follow()
        seen, heard = self.trained.see(pictures), self.trained.hear(sounds)
        with torch.no_grad():
            seen_before, heard_before = self.following.see(pictures), self.following.hear(sounds)
        localization, instance = (all_pairs(a.float(), v.float()) for a, v in zip(heard_before, seen, strict=True))
        picture_loss = match_loss(localization.transpose(0, 1), instance.transpose(0, 1), self.temperature)
        localization, instance = (all_pairs(a.float(), v.float()) for a, v in zip(heard, seen_before, strict=True))
        sound_loss = match_loss(localization, instance, self.temperature)
        return {"loss": picture_loss + sound_loss, "picture_loss": picture_loss, "sound_loss": sound_loss}

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the copy towards the trained weights; before a step, so that a stopped run goes on the same."""
        for old, new in zip(self.following.parameters(), self.trained.parameters(), strict=True):
            old.lerp_(new, 1 - self.momentum)
