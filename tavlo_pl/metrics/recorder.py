"""Per-sample columns that are measured from maps, for single metrics and the suite."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.masks import pack_mask, unpack_mask
from tavlo_pl.metrics.functional.baselines import BASELINES, SHARED, WHOLE_IMAGE
from tavlo_pl.metrics.functional.ciou import truth_area, truth_weight
from tavlo_pl.metrics.functional.pooled import pooled_quantiles
from tavlo_pl.metrics.functional.thresholds import Rule, parse_rule, universal_quantile
from tavlo_pl.metrics.functional.upsample import for_each_slice, upsample
from tavlo_pl.metrics.per_sample import PerSampleMetric
from tavlo_pl.metrics.protocols import Interpolation, Protocol, Size
from tavlo_pl.metrics.samples import Samples

INFO = ("clip", "on_screen", "off_screen", "time_s", "area", "weight")
"""Columns of numbers that describe a sample, beside its index."""


class EvaluatedMaps:
    """n maps of one row with the ground truth of their samples.

    Attributes:
        cells: (n, h, w) raw scores, or (1, h, w) for one map that all samples share.
        target: (n, P) bool or float32 weights, ground truth at the evaluation size.
        rules: the threshold rules.
    """

    def __init__(
        self, cells: Tensor, target: Tensor, rules: Sequence[Rule], size: Size, interpolation: Interpolation
    ) -> None:
        self.cells = cells
        self.target = target
        self.rules = rules
        self._size = size
        self._interpolation = interpolation

    @cached_property
    def preds(self) -> Tensor:
        """(n, P) or (1, P) float32, the raw scores at the evaluation size."""
        return upsample(self.cells, self._size, self._interpolation).flatten(1)


@dataclass(frozen=True)
class Column:
    """A value that is measured for each sample and each row in `update`.

    Attributes:
        name: of the column; metrics with the same column share it.
        measure: takes `EvaluatedMaps` and returns (n, ...) values.
        on_screen: whether only samples with a visible source are measured.
        baselines: whether the baselines are measured too.
    """

    name: str
    measure: Callable[[EvaluatedMaps], Tensor]
    on_screen: bool = True
    baselines: bool = True


class KeptMaps:
    """The maps of all samples, for metrics with one threshold for the whole run.

    Attributes:
        rows: the given rows and the baselines.
        mismatched: the rows of mismatched audio.
        size: (height, width) of the evaluation in pixels.
        interpolation: from cells to pixels.
    """

    def __init__(
        self,
        cells: Mapping[str, Tensor],
        rows: Sequence[str],
        mismatched: Sequence[str],
        on_screen: np.ndarray,
        protocol: Protocol,
        target: np.ndarray,
    ) -> None:
        self.rows = rows
        self.mismatched = mismatched
        self.size = protocol.size
        self.interpolation = protocol.interpolation
        self._cells = cells
        self._pooled = on_screen if protocol.pooled == "on_screen" else np.ones_like(on_screen)
        self._pooled_values = protocol.pooled_values
        self._quantile = universal_quantile(protocol.off_screen_rule)
        self._target = target
        self._thresholds: dict[tuple[str, Fraction], float] = {}

    @property
    def has_threshold(self) -> bool:
        """Whether there is a sample to pool."""
        return bool(self._pooled.any())

    def cells(self, row: str, chosen: np.ndarray) -> Tensor:
        """(n, h, w) raw scores of the chosen samples, (1, h, w) where a baseline has one map for all samples."""
        return self._cells[row] if row in SHARED else self._cells[row][torch.from_numpy(chosen)]

    def target(self, chosen: np.ndarray) -> np.ndarray:
        """(n, P) bool, ground truth of the chosen samples; a few at a time, since all do not fit into memory."""
        return np.stack([unpack_mask(packed, math.prod(self.size)) for packed in self._target[chosen]])

    def threshold(self, row: str, quantile: Fraction | None = None) -> float:
        """The row's universal threshold: a quantile of the scores of all pooled samples.

        Args:
            row: whose scores.
            quantile: 0..1; by default that of the off-screen rule.

        Raises:
            ConfigError: there is no sample to pool.
        """
        key = row, self._quantile if quantile is None else quantile
        if key not in self._thresholds:
            self._thresholds[key] = self.quantiles(row, [key[1]])[0]
        return self._thresholds[key]

    def quantiles(self, row: str, quantiles: Sequence[Fraction]) -> list[float]:
        """`threshold` for several quantiles at once."""
        maps = self.cells(row, self._pooled) if self._pooled.any() else torch.zeros(0, 1, 1)
        return pooled_quantiles(maps, quantiles, self.size, self.interpolation, self._pooled_values)

    @property
    def thresholds(self) -> dict[str, float]:
        """Row -> universal threshold of the off-screen rule, for the rows that needed one so far."""
        return {row: value for (row, quantile), value in self._thresholds.items() if quantile == self._quantile}


class SampleRecorder(PerSampleMetric):
    """Measures columns of every sample in each update, and gathers them over all processes as `Samples`.

    Args:
        columns: what is measured.
        protocol: the choices of the evaluation; the ground truth must have its size.
        keep_maps: whether to keep the maps; universal rules always do.

    Raises:
        ConfigError: a rule is unknown or out of place.
    """

    def __init__(self, columns: Sequence[Column], protocol: Protocol, keep_maps: bool) -> None:
        super().__init__()
        self.protocol = protocol
        self.rules = [parse_rule(name) for name in protocol.rules]
        universal_quantile(protocol.off_screen_rule)  # raises an error if it is no universal rule
        self._universal = [rule for rule in self.rules if rule.kind == "universal"]
        self.keep_maps = keep_maps or bool(self._universal)
        self._columns = list(dict.fromkeys(columns))
        self.add_columns("index", "on_screen_index", *INFO, "maps", "mismatched_maps")
        self.add_bytes_columns("target")
        self.add_columns(*(column.name for column in self._columns))
        self.add_text_columns("category")

    def check_target(self, target: Tensor) -> None:
        """Checks (N, height, width) ground truth.

        Raises:
            ConfigError: it has another size than the evaluation, or weights under a universal rule.
        """
        if tuple(target.shape[1:]) != self.protocol.size:
            found, wanted = ("x".join(map(str, size)) for size in (target.shape[1:], self.protocol.size))
            raise ConfigError(
                f"The ground-truth masks are {found} pixels (height x width) and the metrics are to be taken at "
                f"{wanted}: set both to the same size."
            )
        if self._universal and target.dtype != torch.bool:
            raise ConfigError(
                f"The rule {self._universal[0].name} needs masks of 0 and 1, and this data set has weights "
                "on which annotators may disagree: use top_half."
            )

    def record(
        self,
        preds: Mapping[str, Tensor],
        target: Tensor,
        on_screen: Tensor,
        off_screen: Tensor,
        index: Tensor,
        baselines: Sequence[str] = (),
        **info: Tensor | list[str],
    ) -> None:
        """Measures the columns of N samples.

        Args:
            preds: row -> (N, h, w) raw scores.
            target: (N, H, W) bool or float32 weights.
            on_screen: (N,) bool, whether a sounding source is visible.
            off_screen: (N,) bool, whether a sounding source is not visible; a sample can be both.
            index: (N,) int64, unique over the data set.
            baselines: names of the baselines to measure too.
            info: further columns that describe the samples.
        """
        device = next(iter(preds.values())).device
        truth = target.to(device).flatten(1)
        self.append(index=index, on_screen=on_screen, off_screen=off_screen, **info)
        self.append(area=truth_area(truth), weight=truth_weight(truth))
        everywhere, visible = torch.arange(len(index)), on_screen.cpu().nonzero()[:, 0]
        self.append(on_screen_index=index.cpu()[visible])
        for columns, places in (
            ([column for column in self._columns if column.on_screen], visible),
            ([column for column in self._columns if not column.on_screen], everywhere),
        ):
            if not columns or not len(places):
                continue
            at = places.to(device)
            found = [self._measure(columns, cells[at], truth[at], self.rules) for cells in preds.values()]
            shared = [column for column in columns if column.baselines]
            for name in baselines if shared else ():
                cells = BASELINES[name](index.cpu()[places], self.protocol.size).to(device)
                found.append(self._measure(shared, cells, truth[at], self._rules_of(name)))
            for column in columns:
                self.append(**{column.name: torch.stack([row[column.name] for row in found if column.name in row], 1)})
        if self.keep_maps:
            self.append(maps=torch.stack(list(preds.values()), 1).float())
            self.append(target=[pack_mask(mask) for mask in truth.cpu().numpy() > 0])

    def gather_samples(
        self,
        rows: Sequence[str],
        baselines: Sequence[str] = (),
        mismatched: Sequence[str] = (),
        info: Sequence[str] = (),
    ) -> tuple[Samples, KeptMaps | None]:
        """All samples over all processes, and their maps where they were kept. Every process must call it.

        Args:
            rows: the given rows, the model first.
            baselines: names of the baselines.
            mismatched: rows of mismatched audio, of which only maps are stored.
            info: names of further columns of `record`.
        """
        kept_names = ["maps", "target"] if self.keep_maps else []
        everywhere = [column for column in self._columns if not column.on_screen]
        table = self.gather("index", *INFO, "category", *info, *kept_names, *(column.name for column in everywhere))
        visible = [column for column in self._columns if column.on_screen]
        measured = {column.name: table.pop(column.name) for column in everywhere}
        if visible:
            found = self.gather("on_screen_index", *(column.name for column in visible))
            places = np.searchsorted(table["index"], found["on_screen_index"])
            measured |= {column.name: _spread(found[column.name], places, len(table["index"])) for column in visible}
        maps, target = (table.pop(name, np.zeros(0)) for name in ("maps", "target"))
        extra = self.gather("index", "mismatched_maps")["mismatched_maps"] if mismatched else np.zeros(0)
        names = [*rows, *baselines]
        samples = Samples(
            info=table,
            measured={
                name: {row: values[:, r] for r, row in enumerate(names[: values.shape[1]])}
                for name, values in measured.items()
                if len(values)
            },
            rows=names,
            rules=self.rules,
            off_screen_rule=self.protocol.off_screen_rule,
            pixels=math.prod(self.protocol.size),
        )
        if not len(maps):
            return samples, None
        cells = {row: torch.from_numpy(maps[:, r]) for r, row in enumerate(rows)}
        cells |= {name: BASELINES[name](torch.from_numpy(table["index"]), self.protocol.size) for name in baselines}
        cells |= {row: torch.from_numpy(extra[:, r]) for r, row in enumerate(mismatched)}
        return samples, KeptMaps(cells, names, [*rows[1:], *mismatched], samples.on_screen, self.protocol, target)

    def _measure(
        self, columns: Sequence[Column], cells: Tensor, target: Tensor, rules: Sequence[Rule]
    ) -> dict[str, Tensor]:
        """Column -> (n, ...) values of one row, a few samples at a time."""
        parts: dict[int, dict[str, Tensor]] = {}
        shared = len(cells) == 1

        def work(chunk: slice) -> None:
            some = cells if shared else cells[chunk]
            maps = EvaluatedMaps(some, target[chunk], rules, self.protocol.size, self.protocol.interpolation)
            found = {column.name: column.measure(maps) for column in columns}
            # of one shared map, a column that does not depend on the ground truth has one value
            parts[chunk.start] = {name: v.expand(len(maps.target), *v.shape[1:]) for name, v in found.items()}

        if shared:  # one map is upsampled and sorted once for all
            work(slice(0, len(target)))
        else:
            for_each_slice(work, len(target), self.protocol.size, cells.is_cpu)
        ordered = [parts[start] for start in sorted(parts)]
        return {column.name: torch.cat([part[column.name] for part in ordered]) for column in columns}

    def _rules_of(self, baseline: str) -> list[Rule]:
        """The rules of a baseline: the whole image predicts every pixel, also under rules that select a part."""
        if baseline != WHOLE_IMAGE:
            return self.rules
        return [rule if rule.kind == "universal" else Rule(rule.name, "fixed", Fraction(0)) for rule in self.rules]


def _spread(values: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """(count, ...) with the values at their places and NaN elsewhere; empty where there is no value."""
    if not len(values):
        return values
    spread = np.full((count, *values.shape[1:]), np.nan)
    spread[places] = values
    return spread
