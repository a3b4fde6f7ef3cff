"""EfficientNet-lite0 (Tan & Le, arXiv 1905.11946; the lite variant has no squeeze-and-excitation and ReLU6).

The layers are those of the released ImageNet weights (Apache-2.0): "same" padding of TensorFlow, batch norms with an
epsilon of 0.001. In plain PyTorch, so that the packaged checkpoint needs no other library.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.checkpointing import checkpointed
from tavlo_pl.nn.pretrained.cache import FeatureCache
from tavlo_pl.nn.pretrained.files import load_weights
from tavlo_pl.nn.pretrained.same_padding import SameConv2d, normalised
from tavlo_pl.nn.pretrained.training import PartlyTrained, Trained
from tavlo_pl.nn.visual import VisualEncoder, with_finest


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
LEVELS = {8: 5, 16: 11, 32: 16}
"""Number of the block, from 1, after which the features of a stride are complete."""

CHANNELS = {8: 40, 16: 112, 32: 320}

FRAMES_AT_ONCE = 16
"""Frames that an accelerator encodes at once if no gradient is needed; a CPU takes 0.6 of the time with one by one."""

HEAD = 1280
"""Channels of the last convolution, from which ImageNet's classes are read."""


class Block(nn.Module):
    """Inverted residual: expand (1x1), depthwise, project (1x1); the input is added where shapes are equal."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self.expand_conv = SameConv2d(inputs, inner, 1)
            self.bn0 = _norm(inner)
        self.depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = SameConv2d(inner, outputs, 1)
        self.bn2 = _norm(outputs)
        self.act = nn.ReLU6(inplace=True)
        self.expands, self.is_residual = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        inner = self.act(normalised(self.expand_conv, self.bn0, features)) if self.expands else features
        inner = self.act(normalised(self.depthwise_conv, self.bn1, inner))
        found = normalised(self.project_conv, self.bn2, inner)
        return features + found if self.is_residual else found


class EfficientNetLite0(VisualEncoder):
    """EfficientNet-lite0 with the features of one or several strides as one feature map.

    Coarser features are resampled (bilinear) to the cells and appended to the channels, finer ones are averaged over a
    cell, so that it has the detail of the one and the context of the other. Frames are not shifted (see
    `VisualEncoder`): "same"
    padding moves the receptive fields of random weights right and down by half a cell, those of the released weights
    by 0 to 3 pixels at each stride (gradients of cells by the pixels of six photographs).

    Args:
        strides: 8 (40 channels), 16 (112) or 32 (320), finest first.
        cell: pixels per cell, one of the strides; None for the finest.
        head: at stride 32, the 1280 features of the last convolution instead of the 320 before it: nearer to classes.
        weights: path of a ``.safetensors`` file with the released weights, or ``none`` for random ones.
        trained: ``none`` keeps the encoder as it is, ``all`` trains it, a number N trains the last N of 17 parts (the
            first convolution and 16 blocks), or of 18 with the last convolution.
        cache: folder in which the features of a frozen encoder are stored and found again (`cache`); None stores none.

    Raises:
        ConfigError: a stride that there is not, or not in ascending order; ``head`` without stride 32; a cache for an
            encoder that is trained.
        CheckpointError: the weights cannot be read or do not fit.
    """

    def __init__(
        self,
        strides: tuple[int, ...] = (16, 32),
        weights: str = "none",
        trained: Trained = "none",
        cache: str | None = None,
        head: bool = False,
        cell: int | None = None,
    ) -> None:
        if not strides or not set(strides) <= set(LEVELS) or list(strides) != sorted(set(strides)):
            raise ConfigError(f"strides {list(strides)} of EfficientNetLite0: give some of 8, 16 and 32, ascending")
        if head and strides[-1] != 32:
            raise ConfigError("EfficientNetLite0: head needs stride 32")
        if cell is not None and cell not in strides:
            raise ConfigError(f"cell {cell} of EfficientNetLite0: give one of the strides {list(strides)}")
        channels, ends = CHANNELS | {32: HEAD if head else CHANNELS[32]}, LEVELS | {32: LEVELS[32] + head}
        width = sum(channels[stride] for stride in strides)
        super().__init__(_network(), width, cell or strides[0], pretrained=weights != "none", shift=0)
        self.strides = tuple(strides)
        self._ends = {ends[stride] for stride in strides}
        self._channels = [channels[stride] for stride in strides]
        self.mean.fill_(127 / 255)
        self.std.fill_(128 / 255)
        if weights != "none":
            load_weights(self.trunk, weights, renamed=_in_trunk)
        del self.trunk[1 + ends[strides[-1]] :]
        self.partly = PartlyTrained(self.trunk, list(self.trunk), trained, weights)
        self.cache = FeatureCache(cache, trained)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """As in ``nn.Module``; frozen parts stay in evaluation."""
        super().train(mode)
        self.partly.apply_mode(mode)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, D_f, H / stride, W / stride); sizes are multiples of the coarsest stride."""
        if any(size % self.strides[-1] for size in frames.shape[-2:]):
            raise ConfigError(
                f"frames of {tuple(frames.shape[-2:])} pixels: EfficientNetLite0 needs multiples of {self.strides[-1]} "
                "(data.clip.image_size)"
            )
        self.cache.open(self, str(self.strides) if self.stride == self.strides[0] else f"{self.strides} {self.stride}")
        stored = self.cache.get(frames, self._stored)
        height, width = frames.shape[-2:]
        strides = [max(stride, self.stride) for stride in self.strides]
        shapes = [(n, height // s, width // s) for n, s in zip(self._channels, strides, strict=True)]
        levels = stored.split([math.prod(shape) for shape in shapes], 1)
        return with_finest([level.unflatten(1, shape) for level, shape in zip(levels, shapes, strict=True)])

    def _stored(self, frames: Tensor) -> Tensor:
        """The features of each stride as one row a frame; without gradients, some frames at a time, to save memory."""
        is_trained = torch.is_grad_enabled() and any(value.requires_grad for value in self.parameters())
        at_once = 1 if frames.device.type == "cpu" else FRAMES_AT_ONCE
        parts = [frames] if is_trained or torch.compiler.is_exporting() else frames.split(at_once)
        return torch.cat([torch.cat([level.flatten(1) for level in self._levels(part)], 1) for part in parts])

    def _levels(self, frames: Tensor) -> list[Tensor]:
        """The features of each stride, those finer than a cell averaged over it."""
        features, levels = self.pixels(frames), []
        strides = iter(self.strides)
        for number, part in enumerate(self.trunk):
            features = checkpointed(part, features) if self.activation_checkpointing else part(features)
            if number in self._ends:
                finer = self.stride // next(strides)
                levels.append(avg_pool2d(features, finer) if finer > 1 else features)
        return levels


def _network() -> nn.Sequential:
    """The first convolution, all blocks, and the last convolution."""
    parts: list[nn.Module] = [nn.Sequential(SameConv2d(3, 32, 3, 2), _norm(32), nn.ReLU6())]
    inputs = 32
    for stage in STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            parts.append(Block(inputs, stage.channels, stage.kernel, stride, stage.expansion))
            inputs = stage.channels
    parts.append(nn.Sequential(SameConv2d(inputs, HEAD, 1), _norm(HEAD), nn.ReLU6()))
    return nn.Sequential(*parts)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _in_trunk(name: str) -> str | None:
    """The name of a released weight in the trunk; None for those of the classifier."""
    first, _, rest = name.partition(".")
    if first == "blocks":
        number, _, rest = rest.partition(".")
        return f"{int(number) + 1}.{rest}"
    ends = {"conv_stem": "0.0", "bn0": "0.1", "conv_head": f"{LEVELS[32] + 1}.0", "bn1": f"{LEVELS[32] + 1}.1"}
    return f"{ends[first]}.{rest}" if first in ends else None
