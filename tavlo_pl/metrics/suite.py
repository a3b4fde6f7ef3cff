"""All figures of a test set: every scenario, every threshold rule, and the rows that need no model."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.metrics.functional.avsbench import f_curve, mask_iou, probability, segmentation_figures
from tavlo_pl.metrics.functional.baselines import centred_disk, random_maps
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import ciou_of_maps, ciou_of_pixels, truth_area, truth_weight
from tavlo_pl.metrics.functional.offscreen import pia, pia_auc, true_negative_share
from tavlo_pl.metrics.functional.slavc import confidence
from tavlo_pl.metrics.functional.thresholds import Rule, parse_rule, universal_quantile, universal_threshold
from tavlo_pl.metrics.functional.upsample import Interpolation, for_each_chunk, upsample
from tavlo_pl.metrics.functional.video import peak_on_source, silent_pairs, stability
from tavlo_pl.metrics.per_sample import PerSampleMetric, Table
from tavlo_pl.metrics.scores import Scores, breakdown, detection, is_on_screen, sample_rows, scenario_figures, scenes
from tavlo_pl.types import BadClip, Scenario, Targets

TRIVIAL_ROWS = ("whole_image", "centred_disk", "random")
MODEL_ROW = "model"


class LocalizationSuite(PerSampleMetric):
    """cIoU by scenario and rule, pointing, and the off-screen true-negative rate, with intervals by video.

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
        baselines: bool = True,
        keep_maps: bool = True,
        segmentation: bool = False,
    ) -> None:
        """
        Args:
            rules: threshold rules of cIoU.
            size: evaluation pixels a side; the masks must have it.
            interpolation: from cells to pixels.
            off_screen_rule: ``universal:<quantile>``, the one threshold of the run for off-screen samples.
            baselines: whether to score them; a validation in mid-training can do without.
            keep_maps: whether to keep the maps until the end, as universal thresholds need it; without them there are
                no off-screen figures.
            segmentation: also take AVSBench's mIoU and F-score.

        Raises:
            ConfigError: a rule is unknown or out of place.
        """
        super().__init__()
        self.compute_with_cache = False  # torchmetrics would not notice `update_left_out`
        self.rules = [parse_rule(name) for name in rules]
        self.universal = [k for k, rule in enumerate(self.rules) if rule.kind == "universal"]
        self.size = size
        self.interpolation = interpolation
        self.off_screen_rule = off_screen_rule
        self.quantile = universal_quantile(off_screen_rule)
        self.baselines = TRIVIAL_ROWS if baselines else ()
        self.keep_maps = keep_maps or bool(self.universal)
        self.segmentation = segmentation
        self.add_columns("index", "clip", "scenario", "cross_event", "time_s", "sources", "area", "weight")
        self.add_columns("ciou", "pointing", "confidence", "maps", "truth", "mask_iou", "f_curve")
        self.add_text_columns("sample_id", "category")
        self.add_columns("row_index", "wrong_index", "wrong_maps")
        self.add_text_columns("row_name", "wrong_name")
        self.add_columns("left_out_index", "left_out_samples")
        self.add_text_columns("left_out_id", "left_out_reason")
        self._disk = centred_disk(size)
        self._rows: tuple[str, ...] = ()
        self._wrong: tuple[str, ...] = ()
        self._scores: Scores | None = None

    def reset(self) -> None:
        """Forgets all samples."""
        super().reset()
        self._rows = self._wrong = ()
        self._scores = None

    def update(
        self, maps: Mapping[str, Tensor], targets: Targets, wrong_sounds: Mapping[str, Tensor] = MappingProxyType({})
    ) -> None:
        """Scores the annotated samples of a batch.

        Args:
            maps: row name -> (B, T, h, w) raw scores; the same rows, h and w in every update.
            targets: ground truth of N samples, N >= 0, with (N, size, size) masks.
            wrong_sounds: name -> (B, T, h, w) raw scores for sounds that no picture makes, of which pIA is taken and
                nothing else; the same names in every update.

        Raises:
            ConfigError: the masks have another size, or weights under a universal rule.
            RunFailedError: a score is NaN or infinite.
        """
        self._scores = None
        self._name_rows(tuple(maps), tuple(wrong_sounds) if self.keep_maps else ())
        if not len(targets.index):
            return
        if targets.mask.shape[1:] != (self.size, self.size):
            height, width = targets.mask.shape[1:]
            raise ConfigError(
                f"The ground-truth masks are {height}x{width} pixels and the metrics are to be taken at "
                f"{self.size}x{self.size}: set both to the same size."
            )
        if self.universal and targets.mask.dtype != torch.bool:
            raise ConfigError(
                f"The rule {self.rules[self.universal[0]].name} needs masks of 0 and 1, and this data set has weights "
                "on which annotators may disagree: use top_half."
            )
        chosen = _of_samples(maps, targets)
        self._check_finite(chosen, targets.sample_id, self._rows)
        if self._wrong:
            wrong = _of_samples(wrong_sounds, targets)
            self._check_finite(wrong, targets.sample_id, self._wrong)
            self.append(wrong_maps=wrong)
        truth = targets.mask.to(chosen.device).flatten(1)
        self.append(
            index=targets.index,
            clip=targets.clip,
            scenario=targets.scenario,
            cross_event=targets.cross_event,
            time_s=targets.time_s,
            sources=targets.sources,
            area=truth_area(truth),
            weight=truth_weight(truth),
            confidence=torch.stack([confidence(maps) for maps in chosen.unbind(1)], 1),
            sample_id=targets.sample_id,
            category=targets.category,
        )
        self._append_scores(chosen, truth, targets)
        if self.keep_maps:
            self.append(maps=chosen)
        if self.universal:
            self.append(truth=torch.from_numpy(np.packbits(truth.cpu().numpy() > 0, axis=1)))

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
            scenario without samples is absent); ``breakdown`` (``category``, ``size``, ``sources`` -> group -> the
            same); ``left_out`` (``clips``, ``samples``, ``reasons`` by sample_id). Where there is something to take
            them from, also ``detection``, ``scenes``, ``segmentation`` and ``pia``. Off-screen figures are None where
            the test set has no on-screen sample to take the threshold from.
        """
        scores = self._scored()
        left_out = self.gather("left_out_index", "left_out_samples", "left_out_id", "left_out_reason")
        reasons = dict(zip(left_out["left_out_id"], left_out["left_out_reason"], strict=True))
        optional = {
            "detection": detection(scores),
            "scenes": scenes(scores),
            "segmentation": self._segmentation(scores),
            "pia": self._pia(scores),
        }
        return {
            "rules": [rule.name for rule in self.rules],
            "size": self.size,
            "interpolation": self.interpolation,
            "off_screen_rule": self.off_screen_rule,
            "universal_threshold": scores.threshold,
            "scenarios": scenario_figures(scores),
            "breakdown": breakdown(scores),
            **{name: figures for name, figures in optional.items() if figures},
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
            ``sample_id``, ``clip`` (its name), ``scenario``, ``category``, ``cross_event``, ``time_s``, ``sources``,
            ``area`` (the ground truth's share of the picture), then ``<row>/<rule>``: cIoU for on-screen samples and
            the share of pixels below the threshold under the off-screen rule, ``<row>/pointing`` and
            ``<row>/confidence``; None where a column does not apply.
        """
        return sample_rows(self._scored())

    def _name_rows(self, names: tuple[str, ...], wrong: tuple[str, ...]) -> None:
        if not self._rows:
            self._rows, self._wrong = names, wrong
            self.append(row_index=torch.arange(len(names)), row_name=list(names))
            self.append(wrong_index=torch.arange(len(wrong)), wrong_name=list(wrong))
            assert not set(names) & set(TRIVIAL_ROWS)
        assert (names, wrong) == (self._rows, self._wrong), f"rows {names} {wrong} after {self._rows} {self._wrong}"

    def _check_finite(self, chosen: Tensor, sample_ids: list[str], rows: tuple[str, ...]) -> None:
        finite = torch.isfinite(chosen).all(dim=3).all(dim=2)
        if not finite.all():
            sample, row = (~finite).nonzero()[0].tolist()
            raise RunFailedError(
                f"The {rows[row]!r} heatmap of {sample_ids[sample]} holds NaN or infinity and cannot "
                "be scored: the training has diverged; use an earlier checkpoint, or train with a lower "
                "learning rate."
            )

    def _append_scores(self, chosen: Tensor, truth: Tensor, targets: Targets) -> None:
        """Keeps (N, R, K) cIoU of all rows under all but universal rules, and (N, R) pointing; NaN off-screen."""
        visible = (targets.scenario != Scenario.OFF_SCREEN.id).to(chosen.device)
        seen = truth[visible]
        whole = truth_weight(seen) / (truth_weight(seen) + self.size**2 - truth_area(seen))
        rules = [rule for rule in self.rules if rule.kind != "universal"]
        rows = [self._scores_of(maps[visible], seen, rules) for maps in chosen.unbind(1)]
        if self.baselines:
            disk = self._disk.to(chosen.device).reshape(1, -1)
            rows += [
                (whole[:, None].expand(-1, len(rules)), truth_area(seen).double() / self.size**2),
                (ciou_of_pixels(disk, seen, rules), peak_on_source(disk, seen)),
                self._scores_of(random_maps(targets.index).to(chosen.device)[visible], seen, rules),
            ]
        ciou = torch.full((len(chosen), len(rows), len(self.rules)), torch.nan, dtype=torch.float64)
        pointing = torch.full(ciou.shape[:2], torch.nan, dtype=torch.float64)
        ranked = [k for k in range(len(self.rules)) if k not in self.universal]
        for r, (of_rules, of_peak) in enumerate(rows):
            ciou[visible.cpu().nonzero(), r, ranked] = of_rules.cpu()
            pointing[visible.cpu(), r] = of_peak.cpu()
        self.append(ciou=ciou, pointing=pointing)
        if self.segmentation:
            pixels = [
                probability(upsample(maps, self.size, self.interpolation).flatten(1)) for maps in chosen.unbind(1)
            ]
            self.append(
                mask_iou=torch.stack([mask_iou(row, truth > 0) for row in pixels], 1),
                f_curve=torch.stack([f_curve(row, truth > 0) for row in pixels], 1),
            )

    def _scores_of(self, maps: Tensor, truth: Tensor, rules: list[Rule]) -> tuple[Tensor, Tensor]:
        """(N, K) cIoU and (N,) pointing of maps (N, h, w) with truth (N, P)."""
        ciou = torch.zeros(len(maps), len(rules), dtype=torch.float64, device=maps.device)
        pointing = torch.zeros(len(maps), dtype=torch.float64, device=maps.device)

        def score(chunk: slice, pixels: Tensor) -> None:
            ciou[chunk] = ciou_of_pixels(pixels, truth[chunk], rules)
            pointing[chunk] = peak_on_source(pixels, truth[chunk])

        for_each_chunk(score, maps, self.size, self.interpolation)
        return ciou, pointing

    def _scored(self) -> Scores:
        """Gathers what was updated, once; after it, all processes must update or reset, or none."""
        if self._scores is None:
            self._scores = self._gathered_scores()
        return self._scores

    def _gathered_scores(self) -> Scores:
        names = ["clip", "scenario", "cross_event", "time_s", "sources", "area", "weight"]
        names += ["ciou", "pointing", "confidence", "sample_id", "category"]
        kept = [*(["maps"] if self.keep_maps else []), *(["truth"] if self.universal else [])]
        table = self.gather("index", *names, *kept)
        rows = [*self.gather("row_index", "row_name")["row_name"], *self.baselines]
        count = len(table["index"])
        off_screen = table["scenario"] == Scenario.OFF_SCREEN.id
        pairs = silent_pairs(table["clip"], table["time_s"], off_screen)
        ciou = table["ciou"].reshape(count, len(rows), len(self.rules))
        scores = Scores(
            table=table,
            rows=rows,
            rules=self.rules,
            off_screen_rule=self.off_screen_rule,
            pixels=self.size**2,
            ciou=ciou,
            pointing=table["pointing"].reshape(count, len(rows)),
            confidence=table["confidence"].reshape(count, len(rows) - len(self.baselines)),
            below=np.full((count, len(rows)), np.nan),
            threshold={},
            pairs=pairs,
            stability=np.ones((len(pairs), len(rows))),
        )
        if self.keep_maps and not off_screen.all():
            for r, row in enumerate(rows):
                for k in self.universal:
                    ciou[~off_screen, r, k] = self._universal_ciou(row, r, table, ~off_screen, self.rules[k])
                if off_screen.any():
                    self._add_off_screen(scores, row, r, off_screen)
        return scores

    def _maps(self, row: str, place: int, table: Table, chosen: np.ndarray) -> Tensor:
        """(n, h, w) maps of the chosen samples; one for all where the row has the same for all."""
        if row == "whole_image":
            return torch.ones(1, 1, 1)
        if row == "centred_disk":
            return self._disk[None]
        if row == "random":
            return random_maps(torch.from_numpy(table["index"][chosen]))
        return torch.from_numpy(table["maps"][chosen, place])

    def _add_off_screen(self, scores: Scores, row: str, place: int, off_screen: np.ndarray) -> None:
        """The row's universal threshold, the share below it off-screen, and how stable that is."""
        on, off = (self._maps(row, place, scores.table, chosen) for chosen in (~off_screen, off_screen))
        threshold = universal_threshold(on, self.quantile, self.size, self.interpolation)
        scores.threshold[row] = threshold
        scores.below[off_screen, place] = true_negative_share(off, threshold, self.size, self.interpolation).numpy()
        if row not in ("whole_image", "centred_disk"):  # the same map at all moments is stable
            number = np.cumsum(off_screen) - 1  # place among the off-screen maps

            def compare(chunk: slice, first: Tensor) -> None:
                second = upsample(off[number[scores.pairs[chunk, 1]]], self.size, self.interpolation).flatten(1)
                scores.stability[chunk, place] = stability(first, second, threshold).numpy()

            for_each_chunk(compare, off[number[scores.pairs[:, 0]]], self.size, self.interpolation)

    def _universal_ciou(self, row: str, place: int, table: Table, chosen: np.ndarray, rule: Rule) -> np.ndarray:
        """(n,) cIoU of a row at one threshold for the whole run."""
        maps = self._maps(row, place, table, chosen)
        value = Fraction(universal_threshold(maps, rule.value, self.size, self.interpolation))
        fixed = [Rule(rule.name, "fixed", value)]
        values = []
        for start in range(0, len(table["truth"][chosen]), 64):
            packed = table["truth"][chosen][start : start + 64]
            truth = torch.from_numpy(np.unpackbits(packed, axis=1, count=self.size**2).astype(bool))
            some = maps.expand(len(truth), -1, -1) if len(maps) == 1 else maps[start : start + 64]
            values.append(ciou_of_maps(some, truth.reshape(-1, self.size, self.size), fixed, self.interpolation)[:, 0])
        return torch.cat(values).numpy()

    def _given(self, scores: Scores) -> list[str]:
        """The rows that are not trivial; a process that has seen nothing knows them too."""
        return scores.rows[: len(scores.rows) - len(self.baselines)]

    def _segmentation(self, scores: Scores) -> dict[str, Any]:
        """AVSBench's figures by given row; empty if they were not asked for."""
        if not self.segmentation:
            return {}
        table = self.gather("index", "mask_iou", "f_curve")
        return {
            row: segmentation_figures(table["mask_iou"][:, r], table["f_curve"][:, r], scores.table["clip"])
            for r, row in enumerate(self._given(scores))
        }

    def _pia(self, scores: Scores) -> dict[str, Any]:
        """pIA of the given rows beside the model's and of the wrong sounds; empty without any."""
        given, on_screen = self._given(scores), is_on_screen(scores)
        if not (self.keep_maps and MODEL_ROW in given and on_screen.any()):
            return {}
        names = self.gather("wrong_index", "wrong_name")["wrong_name"]
        wrong = self.gather("index", "wrong_maps")["wrong_maps"] if len(names) else None
        negatives = {row: self._maps(row, r, scores.table, on_screen) for r, row in enumerate(given)}
        model = negatives.pop(MODEL_ROW)
        if wrong is not None:
            negatives |= {name: torch.from_numpy(wrong[on_screen, k]) for k, name in enumerate(names)}
        if not negatives:
            return {}
        threshold = universal_threshold(model, self.quantile, self.size, self.interpolation)
        rows = {}
        for row, maps in negatives.items():
            values = pia(maps, threshold, self.size, self.interpolation).numpy()
            interval = bootstrap_interval(values[:, None], scores.table["clip"][on_screen])[:, 0]
            rows[row] = {"pia": float(values.mean()), "pia_interval": interval.tolist(), "pia_auc": pia_auc(values)}
        return {"threshold": threshold, "rows": rows}


def _of_samples(maps: Mapping[str, Tensor], targets: Targets) -> Tensor:
    """(N, rows, h, w) float32: of (B, T, h, w) maps those that the samples are scored by."""
    return torch.stack([each[targets.row, targets.segment] for each in maps.values()], 1).float()
