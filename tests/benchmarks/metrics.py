"""How much faster are the metrics than evaluators that take one sample at a time?   make bench

Both ways score the same maps in the same run; rounds are interleaved, and ratios are printed with their spread. In one
thread they are counted in processor time, so that other programs decide little. With all threads it is the clock, which
means something on an idle machine only: where others keep the cores busy, torch's threads wait for each other in every
short loop. At the end, a test set of AVATAR's size goes through the default suite, with all threads.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from tavlo_pl.metrics.functional.avsbench import THRESHOLDS, f_curve, probability
from tavlo_pl.metrics.functional.ciou import ciou_of_maps
from tavlo_pl.metrics.functional.thresholds import parse_rule
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import Scenario, Targets

SIZE = 224
CELLS = 14
FRAMES = 25_000
FRAMES_A_CLIP = 5
BATCH = 64
ROUNDS = 9


def sets(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, cells, cells) maps and (N, S, S) boxes as masks."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(count, CELLS, CELLS, generator=generator) * 2 - 1
    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    for mask in masks:
        top, left, height, width = (int(v) for v in torch.randint(20, SIZE // 2, (4,), generator=generator))
        mask[top : top + height, left : left + width] = True
    return maps, masks


def ciou_one_by_one(maps: torch.Tensor, masks: torch.Tensor) -> np.ndarray:
    """A batch-1 upsampling, min-max and NumPy sort for each sample, as the published evaluators work."""
    values = []
    for cells, mask in zip(maps, masks.numpy(), strict=True):
        pixels = F.interpolate(cells[None, None], (SIZE, SIZE), mode="bilinear", align_corners=True)[0, 0].numpy()
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


def compare(
    title: str, slow: Callable[[], np.ndarray], fast: Callable[[], np.ndarray], count: int, clock: Callable[[], float]
) -> None:
    """Prints the time a map of both ways, and the ratio of each round as median, lowest and highest."""
    np.testing.assert_allclose(slow(), fast(), atol=1e-5)
    times_s = np.zeros((ROUNDS, 2))
    for row in times_s:
        for way, work in enumerate((slow, fast)):
            start_s = clock()
            work()
            row[way] = (clock() - start_s) / count
    ratio = times_s[:, 0] / times_s[:, 1]
    slow_ms, fast_ms = 1000 * np.median(times_s, axis=0)
    print(
        f"{title:<40}{slow_ms:8.2f} ms a map against {fast_ms:6.3f} ms: {np.median(ratio):6.1f} times "
        f"({ratio.min():.1f} to {ratio.max():.1f})"
    )


def avatar_size() -> None:
    """Prints time and memory of the default suite on as many frames as AVATAR has, a fifth of them off-screen."""
    suite = LocalizationSuite()
    maps, masks = sets(BATCH)
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
                index=number,
                clip=number // FRAMES_A_CLIP,
                scenario=scenario,
                cross_event=number // FRAMES_A_CLIP % 7 == 0,
                time_s=(number % FRAMES_A_CLIP).double(),
                sources=1 + number % 2,
                sample_id=[f"c{n // FRAMES_A_CLIP}/{n % FRAMES_A_CLIP:05d}/any" for n in number],
                category=[f"category {n // 3 % 80}" for n in number],
            ),
        )
    suite.compute()
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"default suite, {FRAMES} frames of {CELLS}x{CELLS}: {wall_s:.0f} s by the clock, {cpu_s:.0f} s CPU, at most "
        f"{memory_gib:.2f} GiB in all"
    )


def main() -> None:
    """Prints the three figures."""
    maps, masks = sets(200)
    threads = torch.get_num_threads()
    one_by_one, all_at_once = (lambda: ciou_one_by_one(maps, masks)), (lambda: ours(maps, masks))
    compare("cIoU, all threads, by the clock", one_by_one, all_at_once, len(maps), time.perf_counter)
    torch.set_num_threads(1)
    compare("cIoU, one thread, CPU time", one_by_one, all_at_once, len(maps), time.process_time)
    scores = probability(upsample(4 * maps[:10], SIZE).flatten(1))
    truth = masks[:10].flatten(1)
    slow, fast = (lambda: f_by_thresholds(scores, truth)), (lambda: f_curve(scores, truth).numpy())
    compare("F-score of AVSBench, one thread, CPU", slow, fast, 10, time.process_time)
    torch.set_num_threads(threads)
    avatar_size()


if __name__ == "__main__":
    main()
