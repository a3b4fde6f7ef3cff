"""All figures of a test set: every metric, group of samples and threshold rule, and the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.metrics.base import EVERY_RULE, LocalizationMetric
from tavlo_pl.metrics.detection import Detection
from tavlo_pl.metrics.figure import ALL, MODEL_ROW, Figure
from tavlo_pl.metrics.functional.baselines import BASELINES
from tavlo_pl.metrics.localization import CIoU
from tavlo_pl.metrics.mismatched_audio import PIA
from tavlo_pl.metrics.offscreen import TrueNegativeRate
from tavlo_pl.metrics.pointing import Pointing
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME, Protocol
from tavlo_pl.metrics.recorder import KeptMaps, SampleRecorder
from tavlo_pl.metrics.samples import Samples, breakdown_groups, sample_lines, scenario_groups
from tavlo_pl.metrics.scenes import SceneCIoU
from tavlo_pl.metrics.segmentation import Segmentation
from tavlo_pl.metrics.stability import Stability
from tavlo_pl.metrics.switch_delay import SwitchDelay
from tavlo_pl.types import BadClip, Scenario, Targets

__all__ = ["METRICS", "MODEL_ROW", "LocalizationSuite"]

METRICS: tuple[type[LocalizationMetric], ...] = (
    CIoU,
    TrueNegativeRate,
    Pointing,
    SwitchDelay,
    Stability,
    PIA,
    Detection,
    SceneCIoU,
    Segmentation,
)
"""Every metric, in the order of the tables. A new one is a file with its class and a line here."""


class LocalizationSuite(SampleRecorder):
    """The metrics of a test set by scenario and threshold rule, with intervals by video. Exact under DDP.

    Every table has a row for the model, for the model with mismatched audio, and for the baselines: the whole image, a
    centred disk and uniform random maps; and the ceiling, the highest value that any map can reach under the rule.

    Args:
        protocol: the choices of the evaluation; the masks must have its size.
        baselines: whether to score the baselines; not needed in validation during training.
        keep_maps: whether to keep the maps until the end, which metrics at one threshold for the run need; without them
            these metrics are absent.
        metrics: which metrics; by default those of ``METRICS`` with ``by_default``, and those that the protocol names.

    Raises:
        ConfigError: a rule is unknown or out of place.
    """

    def __init__(
        self,
        protocol: Protocol = AVATAR_PER_FRAME,
        baselines: bool = True,
        keep_maps: bool = True,
        metrics: Sequence[type[LocalizationMetric]] | None = None,
    ) -> None:
        chosen = [metric for metric in METRICS if metric.by_default or metric.name in protocol.metrics]
        self.metrics = chosen if metrics is None else list(metrics)
        columns = [column for metric in self.metrics for column in metric.columns]
        super().__init__(columns, protocol, keep_maps)
        self.compute_with_cache = False  # `update_left_out` does not invalidate torchmetrics' cache
        self.baselines = tuple(BASELINES) if baselines else ()
        self.add_columns("scenarios", "cross_event", "sources")
        self.add_text_columns("sample_id", "cue")
        self.add_columns("row_index", "mismatched_index")
        self.add_text_columns("row_name", "mismatched_name")
        self.add_columns("left_out_index", "left_out_samples")
        self.add_text_columns("left_out_id", "left_out_reason")
        self._rows: tuple[str, ...] = ()
        self._mismatched: tuple[str, ...] = ()
        self._gathered: tuple[Samples, KeptMaps | None] | None = None

    def reset(self) -> None:
        """Removes all samples."""
        super().reset()
        self._rows = self._mismatched = ()
        self._gathered = None

    def update(
        self,
        preds: Mapping[str, Tensor],
        target: Targets,
        mismatched: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Scores the annotated samples of a batch.

        Args:
            preds: row -> (B, T, h, w) raw scores, the model first; the same rows, h and w in every update.
            target: ground truth of N samples, N >= 0, with (N, H, W) masks.
            mismatched: name -> (B, T, h, w) raw scores for audio that does not belong to the frames, used for pIA only;
                the same names in every update.

        Raises:
            ConfigError: the masks have another size, or weights under a universal rule.
            RunFailedError: a score is NaN or infinite.
        """
        self._gathered = None
        self._name_rows(tuple(preds), tuple(mismatched) if self.keep_maps else ())
        if not len(target.index):
            return
        self.check_target(target.mask)
        chosen = {row: target.maps_of(maps) for row, maps in preds.items()}
        others = {row: target.maps_of(mismatched[row]) for row in self._mismatched}
        for row, maps in (chosen | others).items():
            _check_finite(row, maps, target.sample_id)
        if others:
            self.append(mismatched_maps=torch.stack(list(others.values()), 1))
        self.record(
            chosen,
            target.mask,
            target.on_screen,
            target.scenarios[:, Scenario.OFF_SCREEN.id],
            target.index,
            self.baselines,
            clip=target.clip,
            scenarios=target.scenarios,
            cross_event=target.cross_event,
            time_s=target.time_s,
            sources=target.sources,
            sample_id=target.sample_id,
            category=target.category,
            cue=target.cue,
        )

    def update_left_out(self, clips: Sequence[BadClip]) -> None:
        """Counts clips that could not be read, each index once."""
        self.append(
            left_out_index=torch.tensor([clip.index for clip in clips], dtype=torch.int64),
            left_out_samples=torch.tensor([clip.samples for clip in clips], dtype=torch.int64),
            left_out_id=[clip.sample_id for clip in clips],
            left_out_reason=[clip.reason for clip in clips],
        )

    def compute(self) -> dict[str, Any]:
        """The figures over all processes, as plain values that JSON takes. Every process must call it.

        Returns:
            ``protocol`` (`Protocol.choices`), ``rules``, ``size`` (height and width), ``interpolation``,
            ``off_screen_rule``; ``figures``, the descriptions of what the metrics report (see `Figure`);
            ``universal_threshold`` (row -> raw score, of the rows that needed one); ``scenarios`` (name -> ``samples``,
            ``clips``, ``rows`` (row -> rule -> values), and on-screen ``ceiling`` (rule -> values)); ``breakdown``
            (``category``, ``size``, ``sources``, ``cue`` -> name -> the same); ``left_out`` (``clips``, ``samples``,
            ``reasons`` by sample_id). A group without samples, and a value that its samples do not define, are
            absent.
        """
        samples, kept = self._all_samples()
        left_out = self.gather("left_out_index", "left_out_samples", "left_out_id", "left_out_reason")
        reasons = dict(zip(left_out["left_out_id"], left_out["left_out_reason"], strict=True))
        scenarios = {
            name: self._report(samples.select(chosen), [metric for metric in self.metrics if metric.reports(name)])
            for name, chosen in (scenario_groups(samples) if len(samples) else {}).items()
            if chosen.any()
        }
        if not _has_values(scenarios.get(ALL, {})):
            scenarios.pop(ALL, None)
        broken_down = [metric for metric in self.metrics if metric.reports("", breakdown=True)]
        return {
            "protocol": self.protocol.choices(),
            "rules": [rule.name for rule in self.rules],
            "size": list(self.protocol.size),
            "interpolation": self.protocol.interpolation,
            "off_screen_rule": self.protocol.off_screen_rule,
            "figures": [figure.to_json() for figure in self._figures()],
            "universal_threshold": kept.thresholds if kept else {},
            "scenarios": scenarios,
            "breakdown": {
                kind: {
                    name: self._report(samples.select(chosen), broken_down)
                    for name, chosen in groups.items()
                    if chosen.any()
                }
                for kind, groups in (breakdown_groups(samples) if len(samples) else {}).items()
            },
            "left_out": {
                "clips": len(reasons),
                "samples": int(left_out["left_out_samples"].sum()),
                "reasons": reasons,
            },
        }

    def samples(self) -> list[dict[str, Any]]:
        """One flat line a sample, in order of index, for a table on disk.

        Call it after `compute`, which has gathered the samples; otherwise every process must call it.

        Returns:
            ``sample_id``, ``clip`` (its name), ``scenario``, ``category``, ``cross_event``, ``time_s``, ``sources``,
            ``area`` (the ground truth's share of the image), then ``<row>/<column>`` for each column of the metrics:
            ``<row>/<rule>`` is the cIoU of on-screen samples, ``<row>/tn_rate`` the share of pixels below the threshold
            of off-screen samples. ``scenario`` joins several scenarios of a frame by ``+``. None where a column does
            not apply.
        """
        samples, _ = self._all_samples()
        if not len(samples):
            return []
        columns = [metric.sample_columns(samples) for metric in self.metrics]
        return sample_lines(samples, columns, 1 if self.protocol.samples == "frame" else 2)

    def universal_thresholds(self, quantiles: Sequence[Fraction]) -> list[float]:
        """The model's scores at some quantiles, over what the protocol pools; after `compute`, on any process.

        Args:
            quantiles: 0..1.

        Raises:
            ConfigError: the maps were not kept, or there is no sample to pool.
        """
        _, kept = self._all_samples()
        if kept is None:
            raise ConfigError("A universal threshold needs the maps of all samples: keep_maps=True.")
        return kept.quantiles(MODEL_ROW, quantiles)

    def _all_samples(self) -> tuple[Samples, KeptMaps | None]:
        """Gathers the samples once; afterwards all processes must update or reset, or none."""
        if self._gathered is None:
            rows = self.gather("row_index", "row_name")["row_name"].tolist()
            mismatched = self.gather("mismatched_index", "mismatched_name")["mismatched_name"].tolist()
            info = ("scenarios", "cross_event", "sources", "sample_id", "cue")
            samples, kept = self.gather_samples(rows, self.baselines, mismatched, info)
            for metric in self.metrics:
                samples.add(metric.measure_kept(samples, kept) if kept else {})
            self._gathered = samples, kept
        return self._gathered

    def _figures(self) -> list[Figure]:
        """The figures of all metrics; those that the protocol prints for samples with a visible source are main."""
        found = [figure for metric in self.metrics for figure in metric.described_figures()]
        main = self.protocol.statistics
        return [replace(figure, main=True) if figure.name in main else figure for figure in found]

    def _report(self, samples: Samples, metrics: Sequence[type[LocalizationMetric]]) -> dict[str, Any]:
        """The values of a group of samples by some metrics."""
        rules = [rule.name for rule in self.rules]
        rows: dict[str, dict[str, dict[str, Any]]] = {}
        ceiling: dict[str, dict[str, Any]] = {}
        for metric in metrics:
            if metric.applies_to != "all" and not metric.mismatched:  # all rows are listed, also without values
                for row in samples.rows:
                    for key in [self.protocol.off_screen_rule] if metric.universal else rules:
                        rows.setdefault(row, {}).setdefault(key, {})
            for row, by_rule in metric.summarize(samples).items():
                for rule, values in by_rule.items():
                    for key in rules if rule == EVERY_RULE else [rule]:
                        rows.setdefault(row, {}).setdefault(key, {}).update(values)
            for rule, values in metric.ceiling(samples).items():
                ceiling.setdefault(rule, {}).update(values)
        counts = {"samples": len(samples), "clips": len(np.unique(samples.clip)), "rows": rows}
        return counts | ({"ceiling": ceiling} if ceiling else {})

    def _name_rows(self, names: tuple[str, ...], mismatched: tuple[str, ...]) -> None:
        if not self._rows:
            assert not set(names) & set(BASELINES)
            self._rows, self._mismatched = names, mismatched
            self.append(row_index=torch.arange(len(names)), row_name=list(names))
            self.append(mismatched_index=torch.arange(len(mismatched)), mismatched_name=list(mismatched))
        known = self._rows, self._mismatched
        assert (names, mismatched) == known, f"rows {names} {mismatched} after {known}"


def _check_finite(row: str, maps: Tensor, sample_ids: Sequence[str]) -> None:
    """Checks (N, h, w) maps of a row.

    Raises:
        RunFailedError: a score is NaN or infinite.
    """
    finite = torch.isfinite(maps).flatten(1).all(1)
    if not finite.all():
        sample = int((~finite).nonzero()[0])
        raise RunFailedError(
            f"The {row!r} heatmap of {sample_ids[sample]} holds NaN or infinity and cannot "
            "be scored: the training has diverged; use an earlier checkpoint, or train with a lower "
            "learning rate."
        )


def _has_values(group: Mapping[str, Any]) -> bool:
    """Whether any row of a group has a value under any rule."""
    return any(values for by_rule in group.get("rows", {}).values() for values in by_rule.values())
