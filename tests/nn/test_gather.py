"""The gradient of two processes with half of the clips each equals that of one process with all clips."""

import torch
from torch import Tensor

from tavlo_pl.nn.gather import all_gather_with_grad, local_shard
from tests.helpers.models import CONTRASTIVE_ONLY, small_tavlo
from tests.helpers.processes import run_processes

CLIPS, SEGMENTS = 4, 6


def gradients(rank: int, processes: int, **options: object) -> dict[str, Tensor]:
    """Mean gradient of all processes, as in DDP; each process has its part of the same clips."""
    model = small_tavlo(**options)
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (CLIPS, SEGMENTS, 3, 32, 32), dtype=torch.uint8, generator=draw)
    spectrogram = torch.randn(CLIPS, 1, 16, SEGMENTS * 10, generator=draw)
    torch.manual_seed(2)
    scalars = model.training_loss(frames.chunk(processes)[rank], spectrogram.chunk(processes)[rank])
    scalars["loss"].backward()
    found = {name: p.grad for name, p in model.named_parameters()} | {"loss": scalars["loss"].detach()}
    for value in found.values() if processes > 1 else ():
        torch.distributed.all_reduce(value)
        value.div_(processes)
    return found  # type: ignore[return-value]


def test_gathered_negatives_give_the_gradient_of_one_process() -> None:
    """Batch norms are in evaluation mode, since their statistics are those of each process."""
    for options in (
        {"num_time_shifted": 2, "num_envelope_matched": 2},
        {"cross_modal": True, "positive_pool": "max", **CONTRASTIVE_ONLY},
    ):
        first, second = run_processes(2, lambda r, n, o=options: gradients(r, n, gather_negatives=True, **o))
        whole = gradients(0, 1, **options)
        apart = run_processes(2, lambda r, n, o=options: gradients(r, n, **o))[0]
        for name, value in whole.items():
            torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-6)
        assert not torch.isclose(apart["loss"], whole["loss"], rtol=1e-2)


def test_all_gather_with_grad_concatenates_in_rank_order() -> None:
    def both(rank: int, processes: int) -> tuple[Tensor, bool]:
        part = torch.full((1, 2), float(rank))
        return all_gather_with_grad(part, 1), torch.equal(local_shard(all_gather_with_grad(part)), part)

    for gathered, kept in run_processes(2, both):
        assert gathered.tolist() == [[0, 0, 1, 1]]
        assert kept
