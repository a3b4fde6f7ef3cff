"""All figures of a test set: every scenario, every threshold rule, and the rows that need no model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.metrics.functional.baselines import centred_disk, random_maps
from tavlo_pl.metrics.functional.ciou import ciou_of_maps, ciou_of_pixels
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.rows import count
from tavlo_pl.metrics.functional.thresholds import parse_rule, universal_quantile, universal_threshold
from tavlo_pl.metrics.functional.upsample import Interpolation
from tavlo_pl.metrics.per_sample import PerSampleMetric, Table
from tavlo_pl.metrics.scores import Scores, sample_rows, scenario_figures
from tavlo_pl.types import BadClip, Scenario, Targets

TRIVIAL_ROWS = ("whole_image", "centred_disk", "random")


class LocalizationSuite(PerSampleMetric):
    """cIoU by scenario and rule, and the off-screen true-negative rate, with intervals by video.

    Exact under DDP. Scenarios are AVATAR's four, ``cross_event`` (on-screen samples of clips whose source
    switches) and ``on_screen`` (all but off-screen). Every table also has the trivial rows: the whole image,
    a centred disk and uniform random maps; and the ceiling, the most that the rule lets any map reach.
    """

    def __init__(
        self,
        rules: Sequence[str] = ("top_tenth", "top_half", "adaptive"),
        size: int = 224,
        interpolation: Interpolation = "bilinear",
        off_screen_rule: str = "universal:0.9",
        trivial_rows: bool = True,
    ) -> None:
        """
        Args:
            rules: threshold rules of cIoU, any but ``universal``.
            size: evaluation pixels a side; the masks must have it.
            interpolation: from cells to pixels.
            off_screen_rule: ``universal:<quantile>``, the one threshold of the run for off-screen samples.
            trivial_rows: whether to score them; a validation in mid-training can do without.

        Raises:
            ConfigError: a rule is unknown or out of place.
        """
        super().__init__()
        self.compute_with_cache = False  # torchmetrics would not notice `update_left_out`
        self.rules = [parse_rule(name) for name in rules]
        if any(rule.kind == "universal" for rule in self.rules):
            raise ConfigError("universal:<quantile> is the rule of off-screen samples: name others for cIoU.")
        self.size = size
        self.interpolation = interpolation
        self.off_screen_rule = off_screen_rule
        self.quantile = universal_quantile(off_screen_rule)
        self.trivial_rows = TRIVIAL_ROWS if trivial_rows else ()
        self.add_columns("index", "clip", "scenario", "cross_event", "area", "ciou", "maps")
        self.add_text_columns("sample_id", "category")
        self.add_columns("row_index")
        self.add_text_columns("row_name")
        self.add_columns("left_out_index", "left_out_samples")
        self.add_text_columns("left_out_id", "left_out_reason")
        self._rows: tuple[str, ...] = ()
        self._scores: Scores | None = None

    def reset(self) -> None:
        """Forgets all samples."""
        super().reset()
        self._rows = ()
        self._scores = None

    def update(self, maps: Mapping[str, Tensor], targets: Targets) -> None:
        """Scores the annotated samples of a batch.

        Args:
            maps: row name -> (B, T, h, w) raw scores; the same rows, h and w in every update.
            targets: ground truth of N samples, N >= 0, with (N, size, size) masks.

        Raises:
            ConfigError: the masks have another size.
            RunFailedError: a score is NaN or infinite.
        """
        self._scores = None
        self._name_rows(tuple(maps))
        if not len(targets.index):
            return
        if targets.mask.shape[1:] != (self.size, self.size):
            height, width = targets.mask.shape[1:]
            raise ConfigError(
                f"The ground-truth masks are {height}x{width} pixels and the metrics are to be taken at "
                f"{self.size}x{self.size}: set both to the same size."
            )
        # (N, rows, h, w)
        chosen = torch.stack([m[targets.row, targets.segment] for m in maps.values()], 1).float()
        self._check_finite(chosen, targets.sample_id)
        truth = targets.mask.to(chosen.device)
        self.append(
            index=targets.index,
            clip=targets.clip,
            scenario=targets.scenario,
            cross_event=targets.cross_event,
            area=count(truth.flatten(1)),
            ciou=self._ciou(chosen, truth, targets),
            maps=chosen,
            sample_id=targets.sample_id,
            category=targets.category,
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
            ``rules``, ``size``, ``interpolation``, ``off_screen_rule``; ``universal_threshold`` (row -> raw
            score); ``scenarios`` (name -> ``samples``, ``clips``, ``rows``, and on-screen ``ceiling``; a
            scenario without samples is absent); ``left_out`` (``clips``, ``samples``, ``reasons`` by
            sample_id). Off-screen figures are None where the test set has no on-screen sample to take the
            threshold from.
        """
        scores = self._scored()
        left_out = self.gather("left_out_index", "left_out_samples", "left_out_id", "left_out_reason")
        reasons = dict(zip(left_out["left_out_id"], left_out["left_out_reason"], strict=True))
        return {
            "rules": [rule.name for rule in self.rules],
            "size": self.size,
            "interpolation": self.interpolation,
            "off_screen_rule": self.off_screen_rule,
            "universal_threshold": scores.threshold,
            "scenarios": scenario_figures(scores),
            "left_out": {
                "clips": len(reasons),
                "samples": int(left_out["left_out_samples"].sum()),
                "reasons": reasons,
            },
        }

    def samples(self) -> list[dict[str, Any]]:
        """One flat row a sample, in order of index, for a table on disk.

        Call it after `compute`, which has gathered the samples; otherwise every process must call it.

        Returns:
            ``sample_id``, ``clip`` (its name), ``scenario``, ``category``, ``cross_event``, ``area`` (the
            ground truth's share of the picture), then ``<row>/<rule>``: cIoU for on-screen samples and the
            share of pixels below the threshold under the off-screen rule; None where a column does not apply.
        """
        return sample_rows(self._scored())

    def _name_rows(self, names: tuple[str, ...]) -> None:
        if not self._rows:
            self._rows = names
            self.append(row_index=torch.arange(len(names)), row_name=list(names))
            assert not set(names) & set(TRIVIAL_ROWS)
        assert names == self._rows, f"rows {names} after {self._rows}"

    def _check_finite(self, chosen: Tensor, sample_ids: list[str]) -> None:
        finite = torch.isfinite(chosen).all(dim=3).all(dim=2)
        if not finite.all():
            sample, row = (~finite).nonzero()[0].tolist()
            raise RunFailedError(
                f"The {self._rows[row]!r} heatmap of {sample_ids[sample]} holds NaN or infinity and cannot "
                "be scored: the training has diverged; use an earlier checkpoint, or train with a lower "
                "learning rate."
            )

    def _ciou(self, chosen: Tensor, truth: Tensor, targets: Targets) -> Tensor:
        """(N, R, K) float64 cIoU of all rows under all rules, NaN off-screen."""
        visible = (targets.scenario != Scenario.OFF_SCREEN.id).to(chosen.device)
        truth = truth[visible]
        rows = [ciou_of_maps(maps[visible], truth, self.rules, self.interpolation) for maps in chosen.unbind(1)]
        if self.trivial_rows:
            pixels = truth.flatten(1)
            disk = centred_disk(self.size).to(chosen.device).reshape(1, -1)
            random = random_maps(targets.index).to(chosen.device)[visible]
            rows += [
                (count(pixels).double() / self.size**2)[:, None].expand(-1, len(self.rules)),
                ciou_of_pixels(disk, pixels, self.rules),
                ciou_of_maps(random, truth, self.rules, self.interpolation),
            ]
        values = torch.full((len(chosen), len(rows), len(self.rules)), torch.nan, dtype=torch.float64)
        values[visible.cpu()] = torch.stack(rows, 1).cpu()
        return values

    def _scored(self) -> Scores:
        """Gathers what was updated, once; after it, all processes must update or reset, or none."""
        if self._scores is None:
            self._scores = self._gathered_scores()
        return self._scores

    def _gathered_scores(self) -> Scores:
        names = ("clip", "scenario", "cross_event", "area", "ciou", "maps", "sample_id", "category")
        table = self.gather("index", *names)
        rows = [*self.gather("row_index", "row_name")["row_name"], *self.trivial_rows]
        off_screen = table["scenario"] == Scenario.OFF_SCREEN.id
        ciou = table["ciou"].reshape(len(off_screen), len(rows), len(self.rules))
        below = np.full(ciou.shape[:2], np.nan)
        threshold: dict[str, float] = {}
        if off_screen.any() and not off_screen.all():
            for r, row in enumerate(rows):
                threshold[row], below[off_screen, r] = self._off_screen(row, r, table, off_screen)
        return Scores(table, rows, self.rules, self.off_screen_rule, self.size**2, ciou, below, threshold)

    def _off_screen(self, row: str, place: int, table: Table, off_screen: np.ndarray) -> tuple[float, np.ndarray]:
        """Universal threshold of a row, and the share below it of each off-screen sample, or of all."""
        if row == "whole_image":
            return 1.0, np.zeros(1)  # a map of ones: no pixel is below its quantile
        if row == "centred_disk":
            on = off = centred_disk(self.size)[None]  # a pool of equal maps has the quantile of one
        elif row == "random":
            index = torch.from_numpy(table["index"])
            on, off = random_maps(index[~off_screen]), random_maps(index[off_screen])
        else:
            maps = torch.from_numpy(table["maps"][:, place])
            on, off = maps[~off_screen], maps[off_screen]
        threshold = universal_threshold(on, self.quantile, self.size, self.interpolation)
        return threshold, true_negative_share(off, threshold, self.size, self.interpolation).numpy()
