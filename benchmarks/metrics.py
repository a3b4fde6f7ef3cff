"""How much faster are the metrics than evaluators that take one sample at a time?

Run it with ``make bench``.

Both ways score the same maps in the same run; rounds are interleaved, and ratios are printed with their spread. In one
thread they are counted in processor time, so that other programs decide little. With all threads it is the clock, which
means something on an idle machine only: where others keep the cores busy, torch's threads wait for each other in every
short loop. At the end, a test set of AVATAR's size goes through all metrics by
two protocols, with all threads.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import interpolate

from benchmarks.report import Row, cpu_s, ratio, single, wall_s, write
from tavlo_pl.metrics.functional.avsbench import THRESHOLDS, f_curve, probability
from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.metrics.protocols import AVATAR, AVATAR_PER_FRAME, Protocol, Size
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import SCENARIOS, Scenario, Targets

SIZE = 224
CELLS = 14
FRAMES = 24_266
FRAMES_A_CLIP = 5
BATCH = 64
ROUNDS = 9


def sets(count: int, seed: int = 0, size: Size = (SIZE, SIZE)) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, cells, cells) maps and (N, H, W) boxes as masks."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(count, CELLS, CELLS, generator=generator) * 2 - 1
    masks = torch.zeros(count, *size, dtype=torch.bool)
    for mask in masks:
        top, left, height, width = (int(v) for v in torch.randint(20, SIZE // 2, (4,), generator=generator))
        mask[top : top + height, left : left + width] = True
    return maps, masks


def ciou_one_by_one(maps: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    """A batch-1 upsampling, min-max and NumPy sort for each sample, as the published evaluators work."""
    values = []
    for cells, mask in zip(maps, masks.numpy(), strict=True):
        pixels = interpolate(cells[None, None], (SIZE, SIZE), mode="bilinear", align_corners=True)[0, 0].numpy()
        pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
        threshold = np.sort(pixels.flatten())[SIZE**2 // 2]
        claimed = np.zeros((SIZE, SIZE))
        claimed[pixels >= threshold] = 1
        truth = mask.astype(np.float64)
        values.append(np.sum(claimed * truth) / (np.sum(truth) + np.sum(claimed * (truth == 0))))
    return np.array(values)


def ours(maps: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    """The same by `ciou_of_maps`."""
    return ciou_of_maps(maps, masks, [parse_rule("top_half")], "bilinear_corners")[:, 0].numpy()


def f_by_thresholds(scores: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    """AVSBench's F curves by one comparison for each of 255 thresholds."""
    curves = np.zeros((len(scores), len(THRESHOLDS)))
    for row, mask, curve in zip(scores, truth.float(), curves, strict=True):
        for k, threshold in enumerate(THRESHOLDS):
            claimed = (row >= float(threshold)).float()
            hit = (claimed * mask).sum()
            precision, recall = hit / (claimed.sum() + 1e-20), hit / (mask.sum() + 1e-20)
            curve[k] = torch.nan_to_num(1.3 * precision * recall / (0.3 * precision + recall))
    return curves


def compare(title: str, slow: Callable[[], np.ndarray], fast: Callable[[], np.ndarray], count: int) -> list[Row]:
    """The ratio of both ways' time, in one thread and in all of them; they must agree."""
    np.testing.assert_allclose(slow(), fast(), atol=1e-5)
    rows, all_threads = [], torch.get_num_threads()
    for threads, told, clock in (
        (1, "one thread", cpu_s),
        (all_threads, f"{all_threads} threads, by the clock", wall_s),
    ):
        torch.set_num_threads(threads)
        times_s = [[clock(work) / count for work in (slow, fast)] for _ in range(ROUNDS)]
        slow_s, fast_s = zip(*times_s, strict=True)
        taken = f"{1000 * min(slow_s):.2f} ms a map against {1000 * min(fast_s):.3f}"
        rows.append(ratio(f"{title}, {told}", slow_s, fast_s, "× faster than one map at a time", taken))
    return rows


def avatar_size(protocol: Protocol, maps: torch.Tensor, masks: torch.Tensor) -> Row:
    """Time and memory of all metrics and baselines on as many frames as AVATAR has, a fifth of them off-screen."""
    suite = LocalizationSuite(protocol)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    for first in range(0, FRAMES, BATCH):
        number = torch.arange(first, min(first + BATCH, FRAMES))
        count = len(number)
        scenario = torch.where(number // FRAMES_A_CLIP % 5 == 4, Scenario.OFF_SCREEN.id, number // FRAMES_A_CLIP % 3)
        noise = torch.rand(count, 1, CELLS, CELLS, generator=torch.Generator().manual_seed(first))
        suite.update(
            {"model": maps[:count, None] + noise},
            Targets(
                mask=masks[:count] & (scenario != Scenario.OFF_SCREEN.id)[:, None, None],
                row=torch.arange(count),
                segment=torch.zeros(count, dtype=torch.int64),
                next_segment=torch.zeros(count, dtype=torch.int64),
                blend=torch.zeros(count),
                index=number,
                clip=number // FRAMES_A_CLIP,
                scenarios=torch.eye(len(SCENARIOS), dtype=torch.bool)[scenario],
                cross_event=number // FRAMES_A_CLIP % 7 == 0,
                time_s=(number % FRAMES_A_CLIP).double(),
                sources=1 + number % 2,
                sample_id=[f"c{n // FRAMES_A_CLIP}/{n % FRAMES_A_CLIP:05d}" for n in number],
                category=[f"category {n // 3 % 80}" for n in number],
                cue=[""] * count,
            ),
        )
    suite.compute()
    wall_s, taken_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    height, width = protocol.size
    name = f"protocol {protocol.name}, {FRAMES:,} frames of {CELLS}×{CELLS} at {width}×{height}"
    return single(name, taken_s, "s CPU", f"{wall_s:.0f} s by the clock, at most {memory_gib:.2f} GiB in all")


def main() -> None:
    """Measures and writes."""
    maps, masks = sets(1000)
    scores = probability(upsample(4 * maps[:10], (SIZE, SIZE)).flatten(1))
    truth = masks[:10].flatten(1)
    one, all_ = (lambda: ciou_one_by_one(maps, masks)), (lambda: ours(maps, masks))
    slow, fast = (lambda: f_by_thresholds(scores, truth)), (lambda: f_curve(scores, truth).numpy())
    rows = [*compare("cIoU, top_half", one, all_, len(maps)), *compare("F-score of AVSBench", slow, fast, 10)]
    rows.append(avatar_size(AVATAR_PER_FRAME, *sets(BATCH)))
    write("metrics", [*rows, avatar_size(AVATAR, *sets(BATCH, size=AVATAR.size))])


if __name__ == "__main__":
    main()
