"""LVS, "Localizing Visual Sounds the Hard Way" (arXiv 2104.02691)."""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.trimap import trimap_loss
from tavlo_pl.models.image_level import ImageLevel, all_pairs
from tavlo_pl.models.released import LVS_NAMES
from tavlo_pl.nn.clip_audio import ClipAudioEncoder
from tavlo_pl.nn.heads import PairHead
from tavlo_pl.nn.visual import VisualEncoder


class LVS(ImageLevel):
    """Contrasts the features of the encoders without a projection; the background of a frame is a hard negative.

    The published network has 23.4 M parameters, 1.1 M of them in unused layers, which this model does not have.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio, of the same feature width unless `width` is given.
        positive: score above which a cell belongs to the source.
        negative: score below which it belongs to the background.
        sharpness: width of the soft masks' transition.
        temperature: divides the logits.
        width: D of one projection of each encoder, for encoders of different widths or frozen ones; None has no
            projection, as published.
        options: further options of `ImageLevel`.
    """

    released = LVS_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: ClipAudioEncoder,
        positive: float = 0.65,
        negative: float = 0.4,
        sharpness: float = 0.03,
        temperature: float = 0.07,
        width: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if width is None and visual.width != audio.width:
            raise ConfigError(
                f"{type(self).__name__} has no projection: the visual encoder gives {visual.width} features and the "
                f"audio encoder {audio.width}; choose encoders of the same width, or set model.init_args.width"
            )
        self.visual, self.audio = visual, audio
        self.head = None if width is None else PairHead(visual.width, audio.width, width)
        self.positive, self.negative, self.sharpness, self.temperature = positive, negative, sharpness, temperature
        self.load_init()

    def encode_frames(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, D, h, w)."""
        features = self.visual(frames)
        return normalize(features, dim=1) if self.head is None else self.head.project_visual(features)

    def encode_audio(self, audio: Tensor) -> Tensor:
        """(N, 1, F, w) to (N, D)."""
        features = self.audio(audio)
        return normalize(features, dim=-1) if self.head is None else self.head.project_audio(features)

    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """The trimap loss."""
        return {"loss": self.trimap(all_pairs(self.encode_audio(audio).float(), self.encode_frames(frames).float()))}

    def trimap(self, scores: Tensor) -> Tensor:
        """The trimap loss of (B, B, hw) cosines."""
        return trimap_loss(scores, self.positive, self.negative, self.sharpness, self.temperature)
