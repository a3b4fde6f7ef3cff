"""Convolutions with the padding that TensorFlow calls "same": networks ported from it need it to be exact."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that its output has ceil(size / stride) cells; an odd one comes after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding; arguments as for ``nn.Conv2d``, without padding and bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, **options: Any) -> None:
        super().__init__(inputs, outputs, kernel, stride, bias=False, **options)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")  # keeps the scale of features before any training

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # name of the base class
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        return self.convolve(input, self.weight, None)

    def convolve(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with a weight of the same shape and a bias.

        Where one zero more comes after an axis than before it, both ends get as many and the kernel begins with a zero:
        the result is the same, and no padded copy of the features is needed (a third of the time of depthwise ones).
        """
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        rows, columns = (same_padding(size, kernel, stride) for size in features.shape[-2:])
        odd = (columns[1] - columns[0], 0, rows[1] - rows[0], 0)
        if any(odd) and torch.compiler.is_exporting():  # of a padded weight, onnxscript 0.7 makes a graph without it
            return conv2d(pad(features, (*columns, *rows)), weight, bias, self.stride, groups=self.groups)
        if any(odd):
            weight = pad(weight, odd)
        return conv2d(features, weight, bias, self.stride, (rows[1], columns[1]), groups=self.groups)


def normalised(conv: SameConv2d, norm: nn.BatchNorm2d, features: Tensor) -> Tensor:
    """A convolution and its batch norm; in evaluation as one convolution, which saves a pass over the features."""
    if norm.training or norm.running_var is None or norm.running_mean is None:
        found: Tensor = norm(conv(features))
        return found
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight, bias = conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    return conv.convolve(features, weight, bias)
