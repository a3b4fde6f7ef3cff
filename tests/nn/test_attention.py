"""Who sees whom in an AST block."""

import pytest
import torch

from tavlo_pl.nn.attention import ASTBlock

B, T, CELLS, D = 2, 3, 4, 16


def reached(block: ASTBlock, b: int, t: int, s: int) -> torch.Tensor:
    """(B, T, S) bool: the outputs that change when token (b, t, s) does."""
    torch.manual_seed(1)
    tokens = torch.randn(B, T, 1 + CELLS, D)
    other = tokens.clone()
    other[b, t, s] += torch.randn(D)  # a constant would vanish in the layer norm
    with torch.no_grad():
        return (block(other) - block(tokens)).abs().amax(-1) > 1e-6


@pytest.mark.parametrize("token", [0, 2])
def test_published_block_mixes_sound_and_picture(token: int) -> None:
    seen = reached(ASTBlock(D, 4, audio_visual_link=True), 0, 1, token)
    assert seen[0].all()
    assert not seen[1].any()


def test_without_the_link_sound_and_picture_never_meet() -> None:
    block = ASTBlock(D, 4, audio_visual_link=False)
    by_sound, by_cell = reached(block, 0, 1, 0), reached(block, 0, 1, 2)
    assert by_sound[0, :, 0].all() and not by_sound[0, :, 1:].any()
    assert by_cell[0, :, 1:].all() and not by_cell[0, :, 0].any()


def test_every_parameter_gets_a_gradient() -> None:
    block = ASTBlock(D, 4)
    block(torch.randn(B, T, 1 + CELLS, D)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())
