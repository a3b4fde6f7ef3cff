"""Object priors: maps of the objects in a frame, independent of the audio."""

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.visual import VisualEncoder

OBJECT_RANGE = 2.5
"""Mean absolute feature of ResNet-18 that is scaled to a prior of 1 (SLAVC, arXiv 2209.09634)."""


def object_prior(features: Tensor) -> Tensor:
    """(N, D, h, w) features to (N, h, w): the mean absolute value, which an ImageNet network has large on objects."""
    return features.abs().mean(1)


def min_max_normalize(maps: Tensor) -> Tensor:
    """(..., h, w) maps, each scaled to [0, 1] by its minimum and maximum; a constant map becomes 0."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


class ObjectPrior(nn.Module):
    """Object prior of a frozen ImageNet network (`object_prior`).

    Args:
        visual: encoder with ImageNet weights; those of a checkpoint count.
    """

    def __init__(self, visual: VisualEncoder) -> None:
        super().__init__()
        self.visual = visual.requires_grad_(False).eval()
        self.register_load_state_dict_post_hook(_set_pretrained)  # type: ignore[no-untyped-call]

    @override
    def train(self, mode: bool = True) -> Self:
        """Keeps the module in evaluation mode, whatever ``mode`` is."""
        return super().train(False)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 to (B, T, h, w) values >= 0.

        Raises:
            ConfigError: the encoder has random weights.
        """
        if not self.visual.pretrained:
            raise ConfigError(
                "the object prior needs an encoder with ImageNet weights: set weights: imagenet, download the weights "
                "once on a machine with network access and keep torch's cache, or remove the prior"
            )
        prior = object_prior(self.visual(frames.flatten(0, 1)))  # (BT, h, w)
        return prior.view(*frames.shape[:2], *prior.shape[1:])


def _set_pretrained(prior: ObjectPrior, _: object) -> None:
    prior.visual.pretrained = True


class ObjectGuidance(ObjectPrior):
    """Object-guided localization (OGL): a · audio-visual map + (1 - a) · object prior.

    Source: EZ-VSL (arXiv 2203.09324) with a = 0.4, both maps min-max normalised frame by frame; SLAVC (arXiv
    2209.09634) with a = 0.9 on fixed ranges, (cos + 1) / 2 and prior / 2.5. A min-max normalised map reaches 1 in every
    frame, independent of the audio, so off-screen metrics are meaningless with ``scale: frame``.

    Args:
        visual: encoder with ImageNet weights; its prior is resampled to the cells of the map.
        weight: a, in [0, 1].
        scale: ``frame`` normalises each map by its minimum and maximum, ``fixed`` uses the fixed ranges.

    Raises:
        ConfigError: ``weight`` is out of range.
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
            return self.weight * min_max_normalize(maps) + (1 - self.weight) * min_max_normalize(prior)
        return self.weight * (maps + 1) / 2 + (1 - self.weight) * (prior / OBJECT_RANGE).clamp(max=1)
