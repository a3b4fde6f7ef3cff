"""Object priors that no sound takes part in: where does the picture have something to look at?"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.visual import VisualEncoder

OBJECT_RANGE = 2.5
"""Mean absolute feature of ResNet-18 that counts as certainly an object (SLAVC, arXiv 2209.09634)."""


def object_prior(features: Tensor) -> Tensor:
    """(N, D, h, w) features to (N, h, w): their mean absolute value, large on objects in an ImageNet network."""
    return features.abs().mean(1)


def stretched(maps: Tensor) -> Tensor:
    """(..., h, w) maps, each stretched to [0, 1]; 0 where a map is flat."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


class ObjectPrior(nn.Module):
    """What a frozen ImageNet network finds in a picture.

    Args:
        visual: encoder with ImageNet weights.

    Raises:
        ConfigError: its weights could not be had.
    """

    def __init__(self, visual: VisualEncoder) -> None:
        super().__init__()
        if not visual.pretrained:
            raise ConfigError(
                "an object prior needs an encoder with ImageNet weights, and they cannot be had: download them once "
                "where there is a network (weights: imagenet) and keep torch's cache, or leave the prior out"
            )
        self.visual = visual.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "ObjectPrior":
        """Stays in evaluation mode: it is never trained."""
        return super().train(False)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 to (B, T, h, w) values >= 0."""
        return object_prior(self.visual(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])


class ObjectGuidance(ObjectPrior):
    """Object-guided localization (OGL): a · audio-visual map + (1 - a) · object prior.

    Source: EZ-VSL (arXiv 2203.09324) with a = 0.4, both maps stretched to [0, 1] frame by frame; SLAVC (arXiv
    2209.09634) with a = 0.9 on fixed ranges, (cos + 1) / 2 and prior / 2.5. Stretched maps light up in every frame,
    whatever is heard: off-screen figures of ``scale: frame`` mean nothing.

    Args:
        visual: encoder with ImageNet weights; its cells are brought to the map's.
        weight: a, in [0, 1].
        scale: ``frame`` stretches each map, ``fixed`` takes the fixed ranges.

    Raises:
        ConfigError: the weights could not be had, or ``weight`` is out of range.
    """

    def __init__(self, visual: VisualEncoder, weight: float = 0.4, scale: Literal["frame", "fixed"] = "frame") -> None:
        super().__init__(visual)
        if not 0 <= weight <= 1:
            raise ConfigError(f"guidance.weight is {weight}; it must lie in [0, 1]")
        self.weight = weight
        self.scale = scale

    def guide(self, maps: Tensor, frames: Tensor) -> Tensor:
        """Adds the prior to (B, T, h, w) cosines of (B, T, 3, H, W) uint8 frames; scores in [0, 1]."""
        prior = interpolate(self(frames).to(maps), maps.shape[-2:], mode="bilinear")
        if self.scale == "frame":
            return self.weight * stretched(maps) + (1 - self.weight) * stretched(prior)
        return self.weight * (maps + 1) / 2 + (1 - self.weight) * (prior / OBJECT_RANGE).clamp(max=1)
