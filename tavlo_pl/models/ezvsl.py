"""EZ-VSL, "Localizing Visual Sounds the Easy Way" (arXiv 2203.09324)."""

from typing import Any

from torch import Tensor

from tavlo_pl.losses.mil import mil_logits, mil_loss
from tavlo_pl.models.image_level import ImageLevel, all_pairs
from tavlo_pl.models.released import EZVSL_NAMES
from tavlo_pl.nn.clip_audio import SoundEncoder
from tavlo_pl.nn.heads import PairHead
from tavlo_pl.nn.visual import VisualEncoder


class EZVSL(ImageLevel):
    """The best cell of a picture must match its own sound better than the best cells of other pictures, and back.

    Args:
        visual: encoder of the pictures.
        audio: encoder of a stretch of sound.
        width: D of the common space.
        temperature: divides the cosines.
        options: of `ImageLevel`.
    """

    released = EZVSL_NAMES

    def __init__(
        self, visual: VisualEncoder, audio: SoundEncoder, width: int = 512, temperature: float = 0.03, **options: Any
    ) -> None:
        super().__init__(**options)
        self.visual, self.audio = visual, audio
        self.head = PairHead(visual.width, audio.width, width)
        self.temperature = temperature
        self.load_init()

    def see(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, D, h, w)."""
        return self.head.see(self.visual(pictures))

    def hear(self, sounds: Tensor) -> Tensor:
        """(N, 1, F, w) to (N, D)."""
        return self.head.hear(self.audio(sounds))

    def image_loss(self, pictures: Tensor, sounds: Tensor) -> dict[str, Tensor]:
        """InfoNCE of the best cells, from sound to picture plus from picture to sound."""
        scores = all_pairs(self.hear(sounds).float(), self.see(pictures).float())  # (B, B, hw)
        return {"loss": mil_loss(mil_logits(scores[:, :, None], "max", "max"), self.temperature)}
