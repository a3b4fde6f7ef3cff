"""The "same" padding of TensorFlow, and a convolution with its batch norm in one pass."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from tavlo_pl.nn.pretrained.same_padding import SameConv2d, normalised, same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(224, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (56, 5, 2, (1, 2)), (14, 5, 1, (2, 2)), (10, 1, 2, (0, 0))],
)
def test_same_padding_as_tensorflow_documents_it(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding
    assert SameConv2d(1, 1, kernel, stride)(torch.zeros(1, 1, size, size)).shape[-1] == -(-size // stride)


@pytest.mark.parametrize("groups", [1, 4])
def test_one_pass_equals_convolution_and_norm(groups: int) -> None:
    torch.manual_seed(0)
    conv, norm = SameConv2d(4, 8, 3, 2, groups=groups), nn.BatchNorm2d(8, eps=1e-3)
    features = torch.randn(3, 4, 9, 12)
    for _ in range(3):
        norm(conv(features))  # running statistics
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    norm.eval()
    torch.testing.assert_close(normalised(conv, norm, features), norm(conv(features)), rtol=1e-5, atol=1e-5)
    norm.train()
    before = norm.running_mean.clone()
    normalised(conv, norm, features)
    assert not torch.equal(norm.running_mean, before)


@pytest.mark.parametrize(("kernel", "groups"), [(3, 1), (5, 4)])
def test_odd_padding_equals_a_padded_copy(kernel: int, groups: int) -> None:
    torch.manual_seed(0)
    conv, features = SameConv2d(4, 8, kernel, 2, groups=groups), torch.randn(2, 4, 12, 9)  # odd zeros below only
    (top, bottom), (left, right) = same_padding(12, kernel, 2), same_padding(9, kernel, 2)
    assert (bottom - top, right - left) == (1, 0)
    expected = conv2d(pad(features, (left, right, top, bottom)), conv.weight, stride=2, groups=groups)
    torch.testing.assert_close(conv(features), expected)
