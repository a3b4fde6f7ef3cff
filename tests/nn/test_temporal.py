"""Temporal convolution and score attention are relative in time and do what their equations say."""

import pytest
import torch
from torch.nn.functional import gelu

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.temporal import ScoreAttention, TemporalConv, mirrored

B, T, S, D = 2, 6, 3, 8


def test_temporal_conv_equals_its_equation() -> None:
    torch.manual_seed(0)
    conv, tokens = TemporalConv(D, 3), torch.randn(B, T, S, D)
    with torch.no_grad():
        n = conv.norm(tokens)
        inner = torch.cat([n[:, 2], n[:, 1] - n[:, 2], n[:, 3] - n[:, 2]], -1)
        # the module lists the segment itself first, then its neighbours in order of time
        expected = (
            tokens[:, 2] + gelu(inner @ conv.expand.weight.T + conv.expand.bias) @ conv.out.weight.T + conv.out.bias
        )
        torch.testing.assert_close(conv(tokens)[:, 2], expected)


def test_temporal_conv_reaches_its_neighbours_only() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(B, T, S, D)
    changed = tokens.clone()
    changed[:, 4] += 1 + torch.randn(D)
    for kernel, reached in ((1, [4]), (3, [3, 4, 5]), (5, [2, 3, 4, 5])):
        conv = TemporalConv(D, kernel)
        moved = (conv(changed) - conv(tokens)).abs().amax((0, 2, 3)) > 1e-6
        assert moved.nonzero()[:, 0].tolist() == reached
    with pytest.raises(ConfigError, match="odd"):
        TemporalConv(D, 2)


def test_clip_is_mirrored_at_its_ends() -> None:
    assert mirrored(torch.arange(-2, 6), 4).tolist() == [2, 1, 0, 1, 2, 3, 2, 1]
    assert mirrored(torch.arange(-1, 2), 1).tolist() == [0, 0, 0]


def test_score_attention_prefers_similar_audio() -> None:
    attention = ScoreAttention(D)
    one, other = torch.eye(D)[:2]
    audio = torch.stack([one, one, other, one, other, other])[None]
    weights = attention(audio)[0]
    assert torch.allclose(weights.sum(-1), torch.ones(T))
    assert weights[0, 1] > 10 * weights[0, 2]  # similar audio before other audio
    assert weights[0, 1] > weights[0, 3] > weights[0, 2]
    assert weights[0].argmax() == 0
    masked = attention(audio, torch.tensor([[True, False, True, True, True, True]]))[0]
    assert masked[:, 1].abs().max() == 0 and torch.allclose(masked.sum(-1), torch.ones(T))


def test_score_attention_is_relative_in_time() -> None:
    torch.manual_seed(0)
    attention, audio = ScoreAttention(D), torch.randn(1, T, D)
    inner = torch.tensor([[False, True, True, True, True, False]])
    apart = attention(audio[:, 1:5])
    torch.testing.assert_close(attention(audio, inner)[:, 1:5, 1:5], apart)
