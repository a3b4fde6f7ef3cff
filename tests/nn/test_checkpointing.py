"""Activation checkpointing: same gradient, and batch norms update their statistics once."""

from copy import deepcopy

import torch
from torch import nn

from tavlo_pl.nn.checkpointing import checkpointed


def test_checkpointed_keeps_gradient_and_statistics() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train()
    again = deepcopy(plain)
    pixels = torch.randn(2, 3, 8, 8)
    plain(pixels).square().sum().backward()
    checkpointed(again, pixels).square().sum().backward()
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(plain.buffers(), again.buffers(), strict=True):
        assert torch.equal(one, other)


def test_checkpointed_stores_the_input_only() -> None:
    block = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
    tokens = torch.randn(3, 4, requires_grad=True)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        checkpointed(block, tokens)
    assert not sum(x.nbytes for x in kept if x.data_ptr() != tokens.data_ptr())  # torch 2.9 stores an empty tensor
