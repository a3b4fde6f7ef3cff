"""Limits on what a model of an untrusted configuration allocates while it is created.

The configuration inside a checkpoint gives the sizes of its model, whose weights are in the same file: a model that
needs far more memory than the file has cannot be the one. A width of a million would otherwise fill the memory.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from tavlo_pl.errors import CheckpointError

MOST_BYTES_PER_BYTE = 32
"""Memory allocated per byte of the file: 16-bit weights, initialised by several copies in 32 and 64 bits."""

LEAST_BYTES = 2**28
"""What any model may allocate: buffers that are not stored, such as those of metrics."""

MOST_CALLS = 200_000
"""Largest number of allocations; a model of a hundred layers makes some thousands."""

FACTORIES = ("empty", "zeros", "ones", "full", "rand", "randn", "randint", "new_empty", "new_zeros", "new_full", "eye")
RANGES = ("arange", "linspace", "logspace", "randperm", "hann_window")
VALUE_BYTES = 4


class _LimitedAllocation(TorchDispatchMode):
    """Counts the elements of new tensors before they are allocated."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most_bytes = most_bytes
        self.bytes = self.calls = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0].removesuffix("_like")
        self.calls += 1
        self.bytes += VALUE_BYTES * _elements(name, args)
        if self.bytes > self.most_bytes or self.calls > MOST_CALLS:
            raise CheckpointError(
                f"its configuration describes a model of more than {self.most_bytes / 2**20:,.0f} MiB or "
                f"{MOST_CALLS:,} steps, far more than the weights in the file"
            )
        return func(*args, **(kwargs or {}))


def _elements(name: str, args: Any) -> int:
    """Number of elements that an operation allocates, as far as its arguments say."""
    numbers = [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)]
    if name == "eye":
        return math.prod(int(number) for number in (numbers * 2)[:2])
    if name in RANGES:
        return int(max((abs(number) for number in numbers if math.isfinite(number)), default=0))
    if name in FACTORIES:
        sizes = next((value for value in args if isinstance(value, list | tuple)), ())
        return math.prod(int(size) for size in sizes)
    return 0


@contextmanager
def limited_allocation(checkpoint: str | Path | None) -> Iterator[None]:
    """Limits what the block allocates to a multiple of the size of a checkpoint.

    Args:
        checkpoint: the file; None for no limit.

    Raises:
        CheckpointError: the block allocates more.
    """
    if checkpoint is None:
        yield
        return
    with _LimitedAllocation(max(MOST_BYTES_PER_BYTE * Path(checkpoint).stat().st_size, LEAST_BYTES)):
        yield
