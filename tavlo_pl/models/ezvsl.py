"""EZ-VSL, "Localizing Visual Sounds the Easy Way" (arXiv 2203.09324)."""

from typing import Any

from torch import Tensor

from tavlo_pl.losses.mil import mil_logits, mil_loss
from tavlo_pl.models.image_level import ImageLevel, all_pairs
from tavlo_pl.models.released import EZVSL_NAMES
from tavlo_pl.nn.clip_audio import ClipAudioEncoder
from tavlo_pl.nn.heads import PairHead
from tavlo_pl.nn.visual import VisualEncoder


class EZVSL(ImageLevel):
    """Contrasts the highest-scoring cell of each frame with the audio of the clip, in both directions.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio.
        width: D of the common space.
        temperature: divides the cosines.
        options: further options of `ImageLevel`.
    """

    released = EZVSL_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: ClipAudioEncoder,
        width: int = 512,
        temperature: float = 0.03,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.visual, self.audio = visual, audio
        self.head = PairHead(visual.width, audio.width, width)
        self.temperature = temperature
        self.load_init()

    def encode_frames(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, D, h, w)."""
        return self.head.project_visual(self.visual(frames))

    def encode_audio(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) to (N, D)."""
        return self.head.project_audio(self.audio(audio))

    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """InfoNCE of the highest-scoring cells, from audio to frame plus from frame to audio."""
        scores = all_pairs(self.encode_audio(audio).float(), self.encode_frames(frames).float())  # (B, B, hw)
        return {"loss": mil_loss(mil_logits(scores[:, :, None], "max", "max"), self.temperature)}
