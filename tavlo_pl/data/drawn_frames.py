"""Frames of some clips, drawn at random: what statistics of features are computed from."""

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.data.clip import ClipSource
from tavlo_pl.errors import MediaError, RunFailedError


def draw_frames(source: ClipSource, frames: int, image_size: int, duration_s: float, seed: int) -> Iterator[Tensor]:
    """Reads one frame of each of some clips; those that cannot be read are left out, and their number is printed.

    Args:
        source: the clips.
        frames: number of clips that are drawn, with equal probability.
        image_size: H = W in pixels.
        duration_s: length of the span of a clip in which its frame is drawn.
        seed: of the draws.

    Yields:
        (1, 3, H, W) uint8.

    Raises:
        DatasetNotFoundError: the clips are not there.
        RunFailedError: no clip can be read.
    """
    clips, rng = source.clips(), np.random.default_rng(seed)
    chosen = rng.permutation(len(clips))[:frames]
    problems: list[MediaError] = []
    for position in tqdm(chosen, desc="components", unit="frame"):
        clip, time_s = clips[int(position)], float(rng.uniform(0, duration_s))
        try:
            image = clip.read([clip.start_s + time_s], (image_size, image_size), duration_s).frames
        except MediaError as error:
            problems.append(error)
            continue
        yield torch.from_numpy(image).permute(0, 3, 1, 2)
    left_out = f"{len(problems)} of {len(chosen)} clips cannot be read, the first because: {next(iter(problems), '')}"
    if len(problems) == len(chosen):
        raise RunFailedError(left_out)
    if problems:
        print(f"components: {left_out}", file=sys.stderr)
