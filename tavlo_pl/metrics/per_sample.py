"""A torchmetrics base that stores the values of every sample, so that results do not depend on the number of processes.

A sum over processes would count the clips twice that a sampler adds to the last batch, and its order depends on the
number of processes. Here each value is stored with the index of its sample. At the end the values of all processes are
gathered once, duplicates of an index are removed and the rest is sorted by index, so that the computation is the same
for 1, 2 or 3 processes.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

Table = dict[str, np.ndarray]


class PerSampleMetric(Metric):
    """Columns of per-sample values, stored on the CPU.

    A column is a list of tensors, one per update. Text and bytes are stored as uint8, because the states of a
    torchmetrics class must be tensors. The gathering of torchmetrics is not used: it needs equal shapes in all
    processes, one collective call per state, and fails if a process has no samples.
    """

    full_state_update = False

    def __init__(self) -> None:
        super().__init__(sync_on_compute=False)
        self._text_columns: set[str] = set()
        self._bytes_columns: set[str] = set()

    def add_columns(self, *names: str) -> None:
        """Declares columns of numbers; every `append` to one must go with an `append` to its index column."""
        for name in names:
            self.add_state(name, default=[], dist_reduce_fx=None)

    def add_text_columns(self, *names: str) -> None:
        """Declares columns of strings."""
        self.add_columns(*names)
        self._text_columns.update(names)

    def add_bytes_columns(self, *names: str) -> None:
        """Declares columns of ``bytes``."""
        self.add_columns(*names)
        self._bytes_columns.update(names)

    def append(self, **columns: Tensor | Sequence[str] | Sequence[bytes]) -> None:
        """Appends N values to each column: (N, ...) tensors, N strings or N bytes."""
        for name, values in columns.items():
            if isinstance(values, Tensor):
                kept = values.detach().cpu()
            else:
                kept = _to_tensor([value if isinstance(value, bytes) else value.encode() for value in values])
            _append_merged(getattr(self, name), kept)

    def gather(self, index: str, *names: str) -> Table:
        """The columns over all processes, each index once, in ascending order of index.

        Every process must call it, the same number of times, also a process without samples.

        Args:
            index: name of the (N,) integer column with the sample of each value.
            names: names of further columns.

        Returns:
            the columns by name, (N, ...) arrays of their own type, text and bytes as objects; all empty if no process
            has a sample.
        """
        local = {name: [chunk.cpu() for chunk in getattr(self, name)] for name in (index, *names)}
        parts: list[Any] = [local]
        if dist.is_available() and dist.is_initialized():
            parts = [None] * dist.get_world_size(self.process_group)
            dist.all_gather_object(parts, local, group=self.process_group)
        table = {name: self._joined(name, [chunk for part in parts for chunk in part[name]]) for name in local}
        _, first = np.unique(table[index], return_index=True)
        return {name: values[first] for name, values in table.items()}

    def _joined(self, name: str, chunks: list[Tensor]) -> np.ndarray:
        if name in self._text_columns | self._bytes_columns:
            parts = [part for chunk in chunks for part in _from_tensor(chunk)]
            joined = np.empty(len(parts), dtype=object)
            joined[:] = [part.decode() for part in parts] if name in self._text_columns else parts
            return joined
        return torch.cat(chunks).numpy() if chunks else np.zeros(0)


def _append_merged(chunks: list[Tensor], new: Tensor) -> None:
    """Appends a chunk, and merges the last chunks until each is more than twice as long as the next.

    Many small tensors that stay alive between large temporary ones would keep the C library from using the memory of
    the latter again: the masks of 24,266 frames of 640 x 360 pixels then take 4 GiB instead of 1.
    """
    chunks.append(new)
    while len(chunks) > 1 and len(chunks[-2]) <= 2 * len(chunks[-1]):
        last = chunks.pop()
        chunks[-1] = torch.cat([chunks[-1], last])


def _to_tensor(values: Sequence[bytes]) -> Tensor:
    """uint8: the number of values, the length of each, and their bytes."""
    lengths = np.array([len(values), *map(len, values)], np.int64)
    return torch.from_numpy(np.frombuffer(lengths.tobytes() + b"".join(values), np.uint8).copy())


def _from_tensor(chunk: Tensor) -> list[bytes]:
    """The values of several chunks of `_to_tensor` in a row."""
    stored, start = chunk.numpy().tobytes(), 0
    values: list[bytes] = []
    while start < len(stored):
        count = int.from_bytes(stored[start : start + 8], sys.byteorder)
        lengths = np.frombuffer(stored, np.int64, count, start + 8).tolist()
        start += 8 * (count + 1)
        for length in lengths:
            values.append(stored[start : start + length])
            start += length
    return values
