"""Who sees whom in an AST block."""

import pytest
import torch

from tavlo_pl.nn.attention import ASTBlock, Reach, SelfAttention

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
    ("reach", "own_moment", "other_moments"),
    [("factorised", "all", "all"), ("joint", "all", "all"), ("spatial", "all", "none"), ("temporal", "own", "own")],
)
def test_who_is_reached(reach: Reach, own_moment: str, other_moments: str) -> None:
    """Token 2 of moment 1 of clip 0 changes; factorised attention reaches the whole clip, and no other clip."""
    seen = reached(ASTBlock(D, 4, reach=reach), 0, 1, 2)
    expected = {"all": torch.ones(S), "none": torch.zeros(S), "own": torch.eye(S)[2]}
    assert torch.equal(seen[0, 1].float(), expected[own_moment])
    assert torch.equal(seen[0, 0].float(), expected[other_moments])
    assert not seen[1].any()


def test_weights_are_those_that_attention_uses() -> None:
    attention = SelfAttention(D, heads=1)
    tokens = torch.randn(B, S, D)
    with torch.no_grad():
        values = attention.qkv(tokens)[..., 2 * D :]
        assert torch.allclose(attention.out(attention.weights(tokens) @ values), attention(tokens), atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    block = ASTBlock(D, 4)
    block(torch.randn(B, T, S, D)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
