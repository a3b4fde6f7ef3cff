"""Projection of both modalities into one space, as in EZ-VSL (arXiv 2203.09324), SLAVC and FNAC."""

from torch import Tensor, nn
from torch.nn.functional import normalize


class PairHead(nn.Module):
    """A 1x1 convolution for the cells of a frame, a linear layer for audio, both normalised to unit length.

    Args:
        visual_width: D_f of the cells.
        audio_width: D_a of the audio feature.
        width: D of the common space.
    """

    def __init__(self, visual_width: int, audio_width: int, width: int) -> None:
        super().__init__()
        self.visual = nn.Conv2d(visual_width, width, 1)
        self.audio = nn.Linear(audio_width, width)

    def project_visual(self, features: Tensor) -> Tensor:
        """(N, D_f, h, w) to (N, D, h, w) of unit length."""
        return normalize(self.visual(features), dim=1)

    def project_audio(self, features: Tensor) -> Tensor:
        """(N, D_a) to (N, D) of unit length."""
        return normalize(self.audio(features), dim=-1)
