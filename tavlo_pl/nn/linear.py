"""A linear layer for the many tokens of a clip."""

from torch import Tensor, nn
from torch.nn.functional import conv2d, linear


class Linear(nn.Linear):
    """``nn.Linear`` that is computed as a 1x1 convolution on a CPU.

    torch multiplies matrices with MKL and convolves with oneDNN. On an AMD processor with AVX-512 the convolution takes
    half of the time, forward and backward (`benchmarks.step`); the sums are the same, in another order.
    """

    def forward(self, tokens: Tensor, scale: Tensor | None = None) -> Tensor:
        """(..., S, D_in) to (..., S, D_out).

        Args:
            tokens: as for ``nn.Linear``, with S tokens in the second to last dimension.
            scale: (D_out,) factor of each output; applied to the weights, of which there are fewer than tokens.
        """
        if scale is None:
            return project(tokens, self.weight, self.bias)
        return project(tokens, self.weight * scale[:, None], self.bias * scale)


def project(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(..., S, D_in) tokens by a (D_out, D_in) weight and a (D_out,) bias to (..., S, D_out)."""
    if tokens.device.type != "cpu" or tokens.shape[-2] == 1:  # a convolution over one pixel would be slow
        return linear(tokens, weight, bias)
    images = tokens.flatten(0, -3)[:, :, None].permute(0, 3, 1, 2)  # (N, D_in, S, 1), channels last
    return conv2d(images, weight[..., None, None], bias).permute(0, 2, 3, 1).reshape(*tokens.shape[:-1], -1)
