"""The linear layer equals ``nn.Linear``."""

import pytest
import torch
from torch import nn

from tavlo_pl.nn.linear import Linear


@pytest.mark.parametrize("shape", [(2, 3, 5, 8), (20, 7, 8), (4, 3, 1, 8)])
def test_linear_has_outputs_and_gradients_of_nn_linear(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, theirs, tokens = Linear(8, 6), nn.Linear(8, 6), torch.randn(shape, requires_grad=True)
    theirs.load_state_dict(ours.state_dict())
    weigh = torch.randn(*shape[:-1], 6)
    found = torch.autograd.grad((ours(tokens) * weigh).sum(), [tokens, *ours.parameters()])
    expected = torch.autograd.grad((theirs(tokens) * weigh).sum(), [tokens, *theirs.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_linear_scale_multiplies_the_outputs() -> None:
    layer, tokens, scale = Linear(8, 6), torch.randn(2, 5, 8), torch.rand(6)
    torch.testing.assert_close(layer(tokens, scale), layer(tokens) * scale)
