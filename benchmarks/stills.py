"""Which object of a still composite is found from its sound, for images and recordings that training did not use.

``python -m benchmarks.stills --sprites DIR --ckpt_path FILE`` composes images of two or three objects from the test
files of a folder of classes (`tavlo_pl.data.datasets.stills`), plays a recording of one of them, and counts where the
peak of the map lies: on the object (hit), on another one (wrong), or on none. Rows: classes whose images are new,
whose recordings are new, both, neither. Off-screen: the sound of a class that is not in the image, silence, and white
noise, with the share of images in which any cell reaches the checkpoint's threshold, and of cells that do.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.data.datasets.stills import SIZE, compose, drawn_objects, play
from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.data.synthetic.materials import FromFiles, Share
from tavlo_pl.data.synthetic.scene import rng_of
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.sources import peak_places

QUIET = ("off_screen", "silence", "white_noise")
INTERVAL_Z = 1.96


def evaluate(
    sprites: str, ckpt_path: str | None = None, split: Share = "test", count: int = 400, seed: int = 5,
    out: str | None = None,
) -> None:  # fmt: skip
    """Evaluates a checkpoint.

    Args:
        sprites: folder of classes.
        ckpt_path: the checkpoint; the packaged one if not given.
        split: whose files are used.
        count: number of images.
        seed: of the composites.
        out: JSON file for the figures.
    """
    localizer = load_localizer(Path(ckpt_path) if ckpt_path else packaged_checkpoint())
    materials = FromFiles(sprites, split)
    found: list[tuple[bool, bool, bool, bool]] = []
    above: dict[str, list[float]] = {name: [] for name in QUIET}
    peaks: dict[str, list[float]] = {name: [] for name in ("on_screen", *QUIET)}
    for number in tqdm(range(count), unit="images"):
        names = [name for name, _ in drawn_objects(materials, rng_of("still", seed, number))]
        if not 2 <= len(names) <= 3:
            continue
        image, owner = compose(materials, rng_of("still", seed, number), SIZE)
        rng = rng_of("evaluated sound", seed, number)
        sounding = [name for name in names if name not in materials.silent]
        absent = [name for name in materials.categories if name not in names]
        samples = round(localizer.spec.duration_s * SAMPLE_RATE_HZ)
        waves = [play(materials, name, samples, rng) for name in sounding]
        waves.append(play(materials, absent[int(rng.integers(len(absent)))], samples, rng))
        waves += [np.zeros(samples, np.float32), (0.1 * rng.standard_normal(samples)).astype(np.float32)]
        maps = _maps(localizer, image, np.stack(waves))
        for name, heatmap in zip(sounding, maps, strict=False):
            x, y = peak_places(heatmap[None].numpy())[0]
            at = owner[int(y * owner.shape[0]), int(x * owner.shape[1])]
            hit = at >= 0 and names[at] == name
            found.append((hit, at >= 0 and not hit, name in materials.new_image, name in materials.new_sound))
            peaks["on_screen"].append(float(heatmap.max()))
        for name, heatmap in zip(QUIET, maps[-3:], strict=True):
            above[name].append(float((heatmap > (localizer.threshold or 0)).float().mean()))
            peaks[name].append(float(heatmap.max()))
    figures = _figures(np.array(found), above, peaks, localizer.threshold)
    print(json.dumps(figures, indent=2))
    if out is not None:
        Path(out).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def _maps(localizer: Localizer, image: np.ndarray, waves: np.ndarray) -> Tensor:
    """(N, h, w) maps of one image in the middle of N sounds."""
    spec = localizer.spec
    side = (spec.image_size, spec.image_size)
    frame = torch.from_numpy(np.array(Image.fromarray(image).resize(side, Image.Resampling.BILINEAR)))
    frames = frame.permute(2, 0, 1).expand(len(waves), spec.segments, -1, -1, -1)
    spectrogram = localizer.audio_transform(torch.from_numpy(waves))
    model = localizer.model
    assert isinstance(model, AVLocalizer)
    maps = model.localize_each(frames[:1].contiguous(), list(spectrogram[:, None]))
    return torch.cat(maps)[:, spec.segments // 2].float().cpu()


def _figures(
    found: np.ndarray, above: dict[str, list[float]], peaks: dict[str, list[float]], threshold: float | None
) -> dict[str, Any]:
    rows = {
        "all": np.ones(len(found), bool),
        "new images": found[:, 2],
        "new recordings": found[:, 3],
        "both new": found[:, 2] & found[:, 3],
        "neither new": ~found[:, 2] & ~found[:, 3],
    }
    pointing = {}
    for name, chosen in rows.items():
        hits, wrong, n = found[chosen, 0], found[chosen, 1], int(chosen.sum())
        share = float(hits.mean()) if n else float("nan")
        half = INTERVAL_Z * (share * (1 - share) / n) ** 0.5 if n else float("nan")
        pointing[name] = {"sounds": n, "hit": share, "half_interval": half, "wrong": float(wrong.mean()) if n else 0.0}
    return {
        "threshold": threshold,
        "pointing": pointing,
        "cells_above": {name: float(np.mean(values)) for name, values in above.items()},
        "images_above": {name: float((np.array(values) > 0).mean()) for name, values in above.items()},
        "mean_peak": {name: float(np.mean(values)) for name, values in peaks.items()},
    }


if __name__ == "__main__":
    auto_cli(evaluate, as_positional=False)
