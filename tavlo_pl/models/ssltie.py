"""SSL-TIE, "Exploiting Transformation Invariance and Equivariance for Self-supervised Sound Localisation".

Source: arXiv 2206.12772.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from tavlo_pl.models.image_level import all_pairs
from tavlo_pl.models.lvs import LVS
from tavlo_pl.models.released import SSLTIE_NAMES
from tavlo_pl.nn.clip_audio import ClipAudioEncoder
from tavlo_pl.nn.rotation import rotate
from tavlo_pl.nn.visual import VisualEncoder


class SSLTIE(LVS):
    """LVS on each frame and on a rotated copy, whose map must be the rotated map.

    The published network has 24.0 M parameters, 1.6 M of them in unused layers, which this model does not have. The
    published augmentations of colour and spectrogram are not implemented, only flips (``data.augment.flip``) and the
    rotation.

    Args:
        visual: encoder of the frames.
        audio: encoder of a window of audio, of the same feature width.
        max_angle_deg: largest rotation in either direction, in degrees.
        equivariance_weight: λ, weight of the squared difference of the two maps.
        options: further options of `LVS`.
    """

    released = SSLTIE_NAMES

    def __init__(
        self,
        visual: VisualEncoder,
        audio: ClipAudioEncoder,
        max_angle_deg: float = 30.0,
        equivariance_weight: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(visual, audio, **options)
        self.max_angle_deg, self.equivariance_weight = max_angle_deg, equivariance_weight

    def image_loss(self, frames: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """½ (contrast + contrast of the rotated frames) + λ · MSE(map of the rotated frame, rotated map)."""
        angles_deg = (2 * torch.rand(len(frames)) - 1) * self.max_angle_deg
        encoded_audio = self.encode_audio(audio).float()
        cells = self.encode_frames(frames).float()
        rotated_cells = self.encode_frames(rotate(frames.float(), angles_deg)).float()
        scores, rotated_scores = all_pairs(encoded_audio, cells), all_pairs(encoded_audio, rotated_cells)  # (B, B, hw)
        contrast = (self.trimap(scores) + self.trimap(rotated_scores)) / 2
        maps = scores.diagonal().T.unflatten(-1, cells.shape[-2:])  # (B, h, w)
        rotated_maps = rotated_scores.diagonal().T.unflatten(-1, cells.shape[-2:])
        equivariance = mse_loss(rotated_maps, rotate(maps[:, None], angles_deg)[:, 0])
        return {
            "loss": contrast + self.equivariance_weight * equivariance,
            "contrast_loss": contrast,
            "equivariance_loss": equivariance,
        }
