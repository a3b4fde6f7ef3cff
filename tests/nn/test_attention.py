"""Attention of AST blocks."""

from itertools import product

import pytest
import torch
from torch import nn

from tavlo_pl.nn.attention import ASTBlock, AttentionType, Axis, SelfAttention

B, T, S, D = 2, 3, 5, 16


def reached(block: ASTBlock, b: int, t: int, s: int) -> torch.Tensor:
    """(B, T, S) bool: the outputs that change when token (b, t, s) does."""
    torch.manual_seed(1)
    tokens = torch.randn(B, T, S, D)
    other = tokens.clone()
    other[b, t, s] += torch.randn(D)  # a constant would vanish in the layer norm
    with torch.no_grad():
        return (block(other) - block(tokens)).abs().amax(-1) > 1e-6


@pytest.mark.parametrize(
    ("attention_type", "same_segment", "other_segments"),
    [("factorised", "all", "all"), ("joint", "all", "all"), ("spatial", "all", "none"), ("temporal", "own", "own")],
)
def test_block_mixes_the_tokens_of_its_type(
    attention_type: AttentionType, same_segment: str, other_segments: str
) -> None:
    """Token 2 of segment 1 of clip 0 changes; factorised attention changes the outputs of this clip only."""
    found = reached(ASTBlock(D, 4, attention_type=attention_type), 0, 1, 2)
    expected = {"all": torch.ones(S), "none": torch.zeros(S), "own": torch.eye(S)[2]}
    assert torch.equal(found[0, 1].float(), expected[same_segment])
    assert torch.equal(found[0, 0].float(), expected[other_segments])
    assert not found[1].any()


@pytest.mark.parametrize("axis", ["spatial", "temporal", "joint"])
def test_weights_equal_those_of_the_kernel(axis: Axis) -> None:
    attention, tokens = SelfAttention(D, 1, axis), torch.randn(B, T, S, D)
    with torch.no_grad():
        weights, values = attention.weights(tokens), attention.qkv(tokens)[..., 2 * D :]
        if axis == "temporal":
            mixed = (weights @ values.transpose(1, 2)).transpose(1, 2)
        else:
            mixed = (weights[:, 0] @ values.reshape(len(weights), -1, D)).view(B, T, S, D)
        assert torch.allclose(attention.out(mixed), attention(tokens), atol=1e-5)


def test_heads_equal_an_explicit_softmax() -> None:
    """Temporal attention of several heads against a loop over tokens and heads."""
    attention, tokens = SelfAttention(D, 4, "temporal"), torch.randn(B, T, S, D)
    with torch.no_grad():
        query, key, value = nn.functional.linear(tokens, attention.qkv.weight, attention.qkv.bias).chunk(3, -1)
        mixed = torch.empty(B, T, S, D)
        for b, s, h in product(range(B), range(S), range(4)):
            head = slice(4 * h, 4 * h + 4)
            weights = (query[b, :, s, head] @ key[b, :, s, head].T / 2).softmax(-1)
            mixed[b, :, s, head] = weights @ value[b, :, s, head]
        assert torch.allclose(
            nn.functional.linear(mixed, attention.out.weight, attention.out.bias), attention(tokens), atol=1e-5
        )


def test_scale_multiplies_the_output() -> None:
    attention, tokens, scale = SelfAttention(D, 4, "spatial"), torch.randn(B, T, S, D), torch.rand(D)
    with torch.no_grad():
        assert torch.allclose(attention(tokens, scale), attention(tokens) * scale, atol=1e-6)


def test_every_parameter_gets_a_gradient() -> None:
    block = ASTBlock(D, 4)
    block(torch.randn(B, T, S, D)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
