"""FNAC, "Learning Audio-Visual Source Localization via False Negative Aware Contrastive Learning".

Source: arXiv 2303.11302.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from tavlo_pl.losses.fnac import region_features, regularisers
from tavlo_pl.losses.mil import mil_logits, mil_loss
from tavlo_pl.models.ezvsl import EZVSL
from tavlo_pl.models.image_level import all_pairs
from tavlo_pl.models.released import FNAC_NAMES
from tavlo_pl.nn.clip_audio import ClipAudioEncoder
from tavlo_pl.nn.visual import VisualEncoder


class FNAC(EZVSL):
    """EZ-VSL with regularisers against false negatives: similar audio must have similar frames and similar scores.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio.
        visual_dropout: fraction of visual features dropped before the projection.
        warmup_epochs: epochs without the regularisers.
        fns_audio_weight: weight of the first false-negative suppression.
        tne_weight: weight of the true-negative enhancement.
        fns_visual_weight: weight of the second false-negative suppression.
        options: further options of `EZVSL`.
    """

    released = FNAC_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: ClipAudioEncoder,
        visual_dropout: float = 0.9,
        warmup_epochs: int = 5,
        fns_audio_weight: float = 100.0,
        tne_weight: float = 100.0,
        fns_visual_weight: float = 100.0,
        **options: Any,
    ) -> None:
        super().__init__(visual, audio, **options)
        self.dropout = nn.Dropout(visual_dropout)
        self.warmup_epochs = warmup_epochs
        self.weights = {"fns_audio": fns_audio_weight, "tne": tne_weight, "fns_visual": fns_visual_weight}

    def encode_frames(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, D, h, w)."""
        return self.head.project_visual(self.dropout(self.visual(frames)))

    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """EZ-VSL's loss, and after the warm-up the three regularisers."""
        encoded_audio, cells = self.encode_audio(audio).float(), self.encode_frames(frames).float()
        scores = all_pairs(encoded_audio, cells)  # (B, B, hw)
        logits = mil_logits(scores[:, :, None], "max", "max")  # (B, B, 1)
        contrast = mil_loss(logits, self.temperature)
        if self.current_epoch < self.warmup_epochs:
            return {"loss": contrast}
        maps = scores.diagonal().T.unflatten(-1, cells.shape[-2:])
        visual = normalize(cells.mean((-2, -1)), dim=-1)
        terms = regularisers(logits[..., 0].T, encoded_audio, visual, region_features(cells, maps), self.temperature)
        losses = {f"{name}_loss": self.weights[name] * value for name, value in terms._asdict().items()}
        return {"loss": contrast + sum(losses.values()), "contrast_loss": contrast, **losses}
