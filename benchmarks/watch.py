"""What does it cost to watch a training for NaN, and every clip for a hang?

Run it with ``python -m benchmarks.watch``.

CPU time on one core. The rounds are interleaved and the fastest of each counts, so that no other program on the machine
decides.
"""

import time
from collections.abc import Callable

import torch
from torch.nn.utils import get_total_norm
from torchvision.models import resnet18

from tavlo_pl.io.timeout import time_limit

ROUNDS = 5
PICTURES = 16


def cpu_ms(way: Callable[[], object]) -> float:
    """CPU time of one call in milliseconds."""
    began_s = time.process_time()
    way()
    return 1e3 * (time.process_time() - began_s)


def main() -> None:
    """Prints a line for each way."""
    torch.set_num_threads(1)
    model = resnet18()
    images = torch.randn(PICTURES, 3, 224, 224)

    def step() -> None:
        model.zero_grad()
        model(images).sum().backward()

    def norm() -> None:
        get_total_norm(p.grad for p in model.parameters()).isfinite()

    def buffers() -> None:
        {name: buffer.clone() for name, buffer in model.named_buffers()}

    def timers() -> None:
        for _ in range(100):
            with time_limit("a clip"):
                pass

    ways = {
        f"forward and backward, {PICTURES} pictures": step,
        "norm of the gradients": norm,
        "copy of the normalisation layers' means": buffers,
        "100 timers": timers,
    }
    taken = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            taken[name].append(cpu_ms(way))
    for name, values in taken.items():
        print(f"{name:45} {min(values):10.2f} ms")


if __name__ == "__main__":
    main()
