"""Chunked bag scores equal the direct computation, with the same gradient and less memory."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from tavlo_pl.losses import mil_pooling
from tavlo_pl.losses.mil import Pool, pool_bag
from tavlo_pl.nn.similarity import score_map

A, K, V, T, HW, D = 5, 2, 3, 4, 6, 8
POOLS: tuple[Pool, ...] = ("smooth_max", "max", "mean")


def tokens() -> list[Tensor]:
    torch.manual_seed(0)
    shapes = ((A, T, D), (K, V, T, D), (V, T, HW, D))
    return [torch.randn(shape, dtype=torch.float64).float().requires_grad_() for shape in shapes]


def direct(shared: Tensor, per_clip: Tensor, visual: Tensor) -> Tensor:
    with_each = shared[:, None].expand(-1, V, -1, -1)  # (A, V, T, D)
    scores = torch.cat([score_map(with_each, visual), score_map(per_clip, visual)])
    return torch.stack([pool_bag(scores, pool) for pool in POOLS])


@pytest.mark.parametrize("numbers", [1, 2 * T * HW * D, 2**22], ids=["one clip per chunk", "uneven", "one chunk"])
def test_bag_scores_equal_the_direct_computation(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mil_pooling, "CHUNK_NUMBERS", numbers)
    parts = tokens()
    weigh = torch.randn(len(POOLS), A + K, V, T)
    found, expected = mil_pooling.bag_scores(*parts, POOLS), direct(*parts)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad((found * weigh).sum(), parts),
        torch.autograd.grad((expected * weigh).sum(), parts),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_bag_scores_without_per_clip_audio() -> None:
    shared, per_clip, visual = tokens()
    assert torch.equal(
        mil_pooling.bag_scores(shared, per_clip[:0], visual, POOLS),
        mil_pooling.bag_scores(shared, per_clip, visual, POOLS)[:, :A],
    )


def test_bag_scores_are_float32_under_autocast() -> None:
    parts = tokens()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mil_pooling.bag_scores(*parts, POOLS)
    assert torch.equal(mixed, mil_pooling.bag_scores(*parts, POOLS))


LARGE = """
import resource
import torch
from tavlo_pl.losses.mil_pooling import bag_scores
torch.set_num_threads(1)
shared = torch.randn({shared}, {t}, 576, requires_grad=True)
per_clip = torch.randn(2, {b}, {t}, 576, requires_grad=True)
visual = torch.empty({b}, {t}, 196, 576).uniform_(-1, 1).requires_grad_()
bag_scores(shared[:1], per_clip[:, :1], visual[:1], ("smooth_max", "mean")).square().sum().backward()  # loads libraries
shared.grad = per_clip.grad = visual.grad = None
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bag_scores(shared, per_clip, visual, ("smooth_max", "mean")).square().sum().backward()
print(visual.nbytes / 2**20, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""


def needed_mib(clips: int, segments: int) -> tuple[float, float]:
    """Size of the visual tokens, and the additional memory of the scores and all gradients, in MiB."""
    code = LARGE.format(b=clips, t=segments, shared=2 * clips + 3)
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # otherwise gaps in glibc's heap add up to 120 MiB
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    tokens_mib, more_mib = map(float, done.stdout.split())
    return tokens_mib, more_mib


@pytest.mark.slow
def test_bag_scores_memory_is_close_to_that_of_the_gradient() -> None:
    """64 clips, 32 segments, 14 x 14 cells: 882 MiB of tokens, less than 1 GiB in addition with the gradient."""
    tokens_mib, more_mib = needed_mib(64, 32)
    assert tokens_mib == pytest.approx(882)
    assert more_mib < 1024
