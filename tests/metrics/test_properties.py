"""What must hold for any map and any ground truth."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tavlo_pl.metrics.functional.avsbench import f_curve, mask_iou, probability
from tavlo_pl.metrics.functional.baselines import centred_disk
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.metrics.functional.ciou import auc_of_each, ceiling, ciou_of_maps, ciou_of_pixels, scene_minimum
from tavlo_pl.metrics.functional.offscreen import true_negative_share
from tavlo_pl.metrics.functional.pooled import universal_threshold
from tavlo_pl.metrics.functional.slavc import detection_figures
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.functional.video import peak_on_source

SIDE = 6
RULES = [parse_rule(name) for name in ("top_half", "top_tenth", "adaptive", "fixed:0")]
RANKED = RULES[:3]
quick = settings(max_examples=25, deadline=None)

levels = st.integers(-1000, 1000).map(lambda value: value / 1000)  # far enough apart to survive a rescaling
maps = arrays(np.float32, st.tuples(st.integers(1, 4), st.just(SIDE * SIDE)), elements=levels)
truths = arrays(np.bool_, (4, SIDE * SIDE))
shares = st.floats(0, 1)


@quick
@given(maps, truths)
def test_every_share_lies_within_its_bounds(scores: np.ndarray, truth: np.ndarray) -> None:
    pixels, mask = torch.from_numpy(scores), torch.from_numpy(truth[: len(scores)])
    values = ciou_of_pixels(pixels, mask, RULES)
    assert ((values >= 0) & (values <= 1)).all()
    for k, rule in enumerate(RULES):
        distinct = torch.tensor(
            [len(set(row)) == len(row) for row in scores.tolist()]
        )  # ties claim more than the rule says
        limit = ceiling(mask.sum(1), SIDE * SIDE, rule)
        assert (values[distinct, k] <= limit[distinct] + 1e-12).all()
    assert ((peak_on_source(pixels, mask) >= 0) & (peak_on_source(pixels, mask) <= 1)).all()
    assert ((mask_iou(probability(pixels), mask) >= 0) & (mask_iou(probability(pixels), mask) <= 1)).all()
    curve = np.nan_to_num(f_curve(probability(pixels), mask).numpy())
    assert ((curve >= 0) & (curve <= 1 + 1e-12)).all()
    assert (np.abs(auc_of_each(values.numpy()) - values.numpy()) <= 0.025 + 1e-12).all()


@quick
@given(maps, truths, st.sampled_from([lambda x: 3 * x + 2, lambda x: x**3 + x, np.exp, np.arctan]))
def test_rules_on_the_order_do_not_see_a_monotone_rescaling(
    scores: np.ndarray, truth: np.ndarray, rescale: Callable[[np.ndarray], np.ndarray]
) -> None:
    mask = torch.from_numpy(truth[: len(scores)])
    rescaled = rescale(scores.astype(np.float64)).astype(np.float32)
    before = ciou_of_pixels(torch.from_numpy(scores), mask, RANKED)
    assert torch.equal(before, ciou_of_pixels(torch.from_numpy(rescaled), mask, RANKED))


@quick
@given(maps, truths, st.permutations(range(SIDE * SIDE)))
def test_where_a_pixel_lies_does_not_matter(scores: np.ndarray, truth: np.ndarray, order: list[int]) -> None:
    mask = truth[: len(scores)]
    before = ciou_of_pixels(torch.from_numpy(scores), torch.from_numpy(mask), RULES)
    moved = torch.from_numpy(scores[:, order]), torch.from_numpy(mask[:, order])
    assert torch.equal(before, ciou_of_pixels(*moved, RULES))


@quick
@given(arrays(np.float32, (9, 3, 4), elements=levels), st.integers(1, 9), st.permutations(range(9)))
def test_neither_batches_nor_their_order_matter(cells: np.ndarray, batch: int, order: list[int]) -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((9, 16, 16)) < 0.3)
    whole = torch.from_numpy(cells)
    together = ciou_of_maps(whole, mask, RULES)
    parts = [ciou_of_maps(whole[s : s + batch], mask[s : s + batch], RULES) for s in range(0, 9, batch)]
    assert torch.equal(together, torch.cat(parts))
    assert torch.equal(together[order], ciou_of_maps(whole[order], mask[order], RULES))
    quantile = parse_rule("universal:0.9").value
    threshold = universal_threshold(whole, quantile, (16, 16))
    assert threshold == universal_threshold(whole[order], quantile, (16, 16))
    below = true_negative_share(whole, threshold, (16, 16)).mean().item()
    assert below <= 0.9 + 1e-12


@quick
@given(st.lists(st.tuples(shares, shares, st.booleans(), st.integers(0, 4)), min_size=1, max_size=30))
def test_figures_of_detection_and_their_intervals_are_shares(rows: list[tuple[float, float, bool, int]]) -> None:
    ciou, confidence, visible, clip = (np.array(column) for column in zip(*rows, strict=True))
    figures = detection_figures(ciou, confidence, visible, clip)
    for name in ("ap", "max_f1"):
        low, high = figures[f"{name}_interval"]  # type: ignore[misc]
        assert 0 <= figures[name] <= 1 + 1e-12 and -1e-12 <= low <= high <= 1 + 1e-12  # type: ignore[operator]
    interval = bootstrap_interval(ciou[:, None], clip)[:, 0]
    assert ciou.min() - 1e-12 <= interval[0] <= interval[1] <= ciou.max() + 1e-12
    assert (scene_minimum(ciou, clip) <= [ciou[clip == scene].mean() + 1e-12 for scene in np.unique(clip)]).all()


def test_the_disk_is_blind_to_order_of_samples() -> None:
    disk = centred_disk((SIDE, SIDE)).reshape(1, -1)
    mask = torch.from_numpy(np.random.default_rng(1).random((5, SIDE * SIDE)) < 0.4)
    assert torch.equal(ciou_of_pixels(disk, mask, RULES).flip(0), ciou_of_pixels(disk, mask.flip(0), RULES))
