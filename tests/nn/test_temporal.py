"""The temporal convolution and the average over time are relative in time and do what their equations say."""

import pytest
import torch
from torch.nn.functional import gelu

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.temporal import TemporalAverage, TemporalConv, mirrored

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


def test_average_equals_its_equation() -> None:
    torch.manual_seed(0)
    scores = 0.5 * torch.rand(1, T, S)
    average = TemporalAverage((0.5, 0.2))
    by_hand = torch.tensor([-0.5 * max(2 - u, 0) - 0.2 * max(u - 2, 0) for u in range(T)]).exp()
    weights = by_hand / by_hand.sum()
    torch.testing.assert_close(average.weights(T)[2], weights)
    mean = weights @ scores[0]
    own, averaged = (((20 * x).exp().mean().log() / 20) for x in (scores[0, 2], mean))
    torch.testing.assert_close(average(scores)[0, 2], mean + (own - averaged) / 2)


def test_average_keeps_silent_segments_low() -> None:
    scores = torch.zeros(1, T, S)
    scores[:, :, 1] = 0.8
    scores[:, 3] = 0.0
    found = TemporalAverage((0.45, 0.35))(scores)[0]
    assert found.argmax(-1).tolist() == [1] * T  # its place is that of the others
    assert found[3].max() < 0.75 * found[2].max()
    constant = torch.full((1, T, S), 0.3)
    torch.testing.assert_close(TemporalAverage((1, 1))(constant), constant)
    with pytest.raises(ConfigError, match="positive"):
        TemporalAverage((0.4, 0))
