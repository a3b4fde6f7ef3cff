"""Convolutions with the padding that TensorFlow calls "same": networks ported from it need it to be exact."""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pad


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
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        rows, columns = (same_padding(size, kernel, stride) for size in input.shape[-2:])
        return super().forward(pad(input, (*columns, *rows)))
