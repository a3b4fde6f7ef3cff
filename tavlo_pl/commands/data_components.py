"""``tavlo data components``: principal components of a frozen encoder's features."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tavlo_pl.commands.encoders import load_visual
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError
from tavlo_pl.io.atomic import atomic_path

if TYPE_CHECKING:
    from torch import Tensor


def components(
    source: ClipSource,
    model: str,
    out: str,
    visual_weights: str | None = None,
    count: int = 384,
    frames: int = 1000,
    image_size: int = 448,
    duration_s: float = 10.0,
    seed: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Finds the principal components of the features that a frozen visual encoder has in frames of some clips.

    Training on them needs less space for stored features and less time. Wrap the encoder of the model in
    tavlo_pl.nn.pretrained.PrincipalComponents, with weights: OUT.

    Args:
        source: the clips, as in data.train: --source tavlo_pl.data.datasets.VGGSound --source.root DIR.
        model: configuration of a model with a frozen visual encoder, such as configs/model/tavlo_lite0_yamnet.yaml.
        out: the .safetensors file to write.
        visual_weights: weights of the encoder, in place of those of the configuration.
        count: components that are kept.
        frames: number of frames, one of each of so many clips that are drawn, with equal probability.
        image_size: height and width of the frames in pixels, as data.clip.image_size will be.
        duration_s: length of the span of a clip in which a frame is drawn, as data.clip.duration_s will be.
        seed: of the draws.
        limits: what media files may state of themselves.

    Raises:
        ConfigError: an option that cannot be, or the model has no frozen visual encoder with weights.
        DatasetNotFoundError: the clips are not there.
        RunFailedError: no clip can be read.
    """
    if frames < 1 or image_size < 1 or not 0 < duration_s < float("inf"):
        raise ConfigError("components need --frames, --image_size and --duration_s above 0.")
    from safetensors.torch import save_file  # with torch, which --help does not need

    from tavlo_pl.nn.pretrained.principal_components import find_components

    set_limits(limits)
    encoder = load_visual(model, visual_weights)
    if not 1 <= count <= encoder.width:
        raise ConfigError(f"--count is {count}; the features of {model} have {encoder.width} channels.")
    drawn = _draw(source, frames, image_size, duration_s, seed)
    found, share = find_components((encoder(frame) for frame in drawn), count)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(Path(out)) as path:
        save_file(found, path)
    print(f"components: {out} ({count} of {encoder.width} channels, {share:.1%} of the variance)")


def _draw(source: ClipSource, frames: int, image_size: int, duration_s: float, seed: int) -> "Iterator[Tensor]":
    """(1, 3, H, W) uint8, one frame of each of some clips; clips that cannot be read are left out."""
    import torch

    clips, rng = source.clips(), np.random.default_rng(seed)
    chosen = rng.permutation(len(clips))[:frames]
    read = 0
    for position in tqdm(chosen, desc="components", unit="frame"):
        clip, time_s = clips[int(position)], float(rng.uniform(0, duration_s))
        try:
            image = clip.read([clip.start_s + time_s], (image_size, image_size), duration_s).frames
        except MediaError:
            continue
        read += 1
        yield torch.from_numpy(image).permute(0, 3, 1, 2)
    if not read:
        raise RunFailedError(f"none of {len(chosen)} clips can be read; `tavlo data audit` says why.")
