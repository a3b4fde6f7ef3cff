"""Columns of per-sample values, stored in few chunks."""

import numpy as np
import torch

from tavlo_pl.metrics.per_sample import PerSampleMetric


class Columns(PerSampleMetric):
    """A column of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.add_columns("index", "value")
        self.add_text_columns("text")
        self.add_bytes_columns("blob")

    def update(self, first: int, count: int) -> None:
        """Appends some samples whose values follow from their index."""
        index = torch.arange(first, first + count)
        self.append(index=index, value=index[:, None] * torch.ones(1, 3))
        self.append(text=["ö\0" * n for n in index], blob=[bytes(n % 7) for n in index])

    def compute(self) -> None:
        """Nothing."""


def test_columns_return_what_was_appended() -> None:
    metric = Columns()
    sizes = [int(size) for size in np.random.default_rng(0).integers(1, 6, 40)]
    firsts = np.cumsum([0, *sizes[:-1]]).tolist()
    for first, size in reversed(list(zip(firsts, sizes, strict=True))):
        metric.update(first, size)
    table = metric.gather("index", "value", "text", "blob")
    assert table["index"].tolist() == list(range(sum(sizes)))
    assert np.array_equal(table["value"][:, 1], table["index"])
    assert table["text"].tolist() == ["ö\0" * n for n in range(sum(sizes))]
    assert table["blob"].tolist() == [bytes(n % 7) for n in range(sum(sizes))]


def test_columns_are_stored_in_few_chunks() -> None:
    metric = Columns()
    for first in range(1000):
        metric.update(first, 1)
    assert len(metric.index) <= 10 and len(metric.text) <= 20  # type: ignore[arg-type]
    metric.reset()
    assert len(metric.gather("index", "text")["text"]) == 0
