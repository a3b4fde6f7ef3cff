"""Visual encoders: frames to one feature vector per cell.

TAVLO uses ResNet-18 (arXiv 2507.04667, section 4.1; backbone: He et al., arXiv 1512.03385). The light encoder for
small frames on a CPU is ShuffleNetV2 (Ma et al., arXiv 1807.11164). Both come from torchvision.
"""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad
from torchvision import models

from tavlo_pl.nn.checkpointing import checkpointed

log = logging.getLogger(__name__)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Weights = Literal["imagenet", "none"]


class VisualEncoder(nn.Module):
    """Base of the visual encoders: normalises pixels and runs ``trunk``.

    The receptive field of cell i in a stack of strided convolutions is centred on pixel ``stride``·i, the corner of the
    square that the cell covers, not its centre. Upsampled maps would be shifted right and down by half a cell, so the
    frame is shifted by half a stride first.

    Args:
        trunk: the network, from normalised pixels to features.
        width: feature width D_f.
        stride: pixels per cell.
        pretrained: whether weights were loaded.
        shift: pixels by which frames are moved left and up; None for half a stride.

    Attributes:
        width: feature width D_f.
        stride: pixels per cell.
        shift: pixels by which frames are moved left and up.
        pretrained: whether weights were loaded.
        activation_checkpointing: whether the stages of the trunk recompute their activations in the backward pass.
    """

    def __init__(
        self, trunk: nn.Sequential, width: int, stride: int, pretrained: bool = False, shift: int | None = None
    ) -> None:
        super().__init__()
        self.shift = stride // 2 if shift is None else shift
        self.pretrained = pretrained
        self.stride = stride
        self.trunk = trunk
        self.width = width
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.activation_checkpointing = False

    def forward(self, frames: Tensor) -> Tensor:
        """Encodes frames.

        Args:
            frames: (N, 3, H, W) uint8, RGB.

        Returns:
            (N, D_f, h, w) features.
        """
        features = self.pixels(frames)
        for stage in self._stages() if self.activation_checkpointing else [self.trunk]:
            features = checkpointed(stage, features) if self.activation_checkpointing else stage(features)
        return features

    def pixels(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to the same shape in float, normalised, and moved by `shift` pixels left and up."""
        bytes_ = frames.contiguous(memory_format=torch.channels_last)
        pixels = (bytes_ - 255 * self.mean) * (1 / (255 * self.std))
        by = self.shift
        return pad(pixels, (-by, by, -by, by)).contiguous(memory_format=torch.channels_last)

    def _stages(self) -> list[nn.Sequential]:
        """The trunk in parts; a single layer belongs to the part before it, since a ReLU may be in place."""
        firsts = [number for number, part in enumerate(self.trunk) if number == 0 or isinstance(part, nn.Sequential)]
        return [self.trunk[first:end] for first, end in pairwise([*firsts, len(self.trunk)])]


class ResNet18(VisualEncoder):
    """torchvision's ResNet-18 without pooling and classifier; D_f = 512.

    Args:
        weights: ``imagenet`` loads torchvision's ImageNet weights; if they cannot be downloaded, a warning is logged
            and the encoder keeps its random initialisation. ``none`` downloads nothing.
        stride: pixels per cell: 32 gives 7x7 cells at 224, 16 gives 14x14 (the last stage keeps its resolution).
    """

    def __init__(self, weights: Weights = "imagenet", stride: Literal[16, 32] = 32) -> None:
        net = models.resnet18()
        pretrained = _load_imagenet(net, models.ResNet18_Weights.IMAGENET1K_V1, weights)
        if stride == 16:
            first = net.layer4[0]
            first.conv1.stride = (1, 1)
            first.downsample[0].stride = (1, 1)
        super().__init__(resnet_trunk(net), width=512, stride=stride, pretrained=pretrained)


class ShuffleNet(VisualEncoder):
    """The first stages of torchvision's ShuffleNetV2 1.0x: 8 pixels per cell, D_f = 116; for small frames.

    Two units of its second stage are kept, so that the receptive field is 31 pixels: a wider one would blur and shift
    the map of small objects.

    Args:
        weights: as for ``ResNet18``.
    """

    def __init__(self, weights: Weights = "none") -> None:
        net = models.shufflenet_v2_x1_0()
        pretrained = _load_imagenet(net, models.ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1, weights)
        trunk = nn.Sequential(net.conv1, net.maxpool, net.stage2[:2])
        super().__init__(trunk, width=116, stride=8, pretrained=pretrained)


def with_finest(levels: Sequence[Tensor]) -> Tensor:
    """Feature maps of several strides, finest first, as one: coarser ones are resampled (bilinear) to the finest.

    Args:
        levels: (N, C_l, h_l, w_l) each.

    Returns:
        (N, ΣC_l, h_0, w_0).
    """
    size = levels[0].shape[-2:]
    resampled = (
        level if level.shape[-2:] == size else interpolate(level, size, mode="bilinear", align_corners=False)
        for level in levels
    )
    return torch.cat(list(resampled), dim=1)


def resnet_trunk(net: models.ResNet) -> nn.Sequential:
    """A ResNet without pooling and classifier; its children 0, 1 and 4 to 7 have weights."""
    return nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4)


def _load_imagenet(net: nn.Module, source: models.WeightsEnum, weights: Weights) -> bool:
    """Loads ImageNet weights unless ``weights`` is ``none``; returns whether they were loaded."""
    if weights == "none":
        return False
    try:
        net.load_state_dict(source.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError) as error:
        log.warning(
            "ImageNet weights (%s) cannot be downloaded (%s): the visual encoder starts from random weights",
            source.url,
            error,
        )
        return False
    return True
