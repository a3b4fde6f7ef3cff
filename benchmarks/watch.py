"""CPU time of the checks for NaN in each training step and of the time limit of each clip.

One core. Rounds alternate between all functions, and the fastest round of each counts, to reduce the influence of other
programs.
"""

import time
from collections.abc import Callable

import torch
from torch.nn.utils import get_total_norm
from torchvision.models import resnet18

from tavlo_pl.io.timeout import time_limit

ROUNDS = 5
IMAGES = 16


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU time of one call in milliseconds."""
    start_s = time.process_time()
    work()
    return 1e3 * (time.process_time() - start_s)


def main() -> None:
    """Prints one line for each function."""
    torch.set_num_threads(1)
    model = resnet18()
    images = torch.randn(IMAGES, 3, 224, 224)

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

    works: dict[str, Callable[[], object]] = {
        f"forward and backward, {IMAGES} images": step,
        "norm of the gradients": norm,
        "copy of the normalisation layers' means": buffers,
        "100 timers": timers,
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(cpu_ms(work))
    for name, values in taken.items():
        print(f"{name:45} {min(values):10.2f} ms")


if __name__ == "__main__":
    main()
