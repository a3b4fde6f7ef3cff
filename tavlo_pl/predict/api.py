"""`tavlo_pl.load` and `tavlo_pl.localize`: the model of a checkpoint and the heatmaps of a video, from Python."""

import warnings
from functools import lru_cache
from pathlib import Path

from tavlo_pl.io import hub
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.checkpoint import load_localizer, load_model, packaged_checkpoint, packaged_checkpoint_note
from tavlo_pl.predict.checks import Aspect, check_options, check_packages, to_device
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.sources import Localization


def load(checkpoint: str | Path, device: str | None = None, allow_import: tuple[str, ...] = ()) -> AVLocalizer:
    """Loads the model of a checkpoint in evaluation mode; the file is read as plain values, without running its code.

    Args:
        checkpoint: written by ``tavlo fit`` (``.ckpt``), released weights (``.safetensors``), or the address
            ``hf://owner/name[@revision]`` of weights at the Hugging Face hub (extra ``[hub]``).
        device: ``cpu`` or ``cuda``; a GPU, if there is one, by default.
        allow_import: packages whose classes the configuration of the checkpoint may name. Naming a class imports its
            module, which runs it.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable or not of this package.
        ConfigError: there is no such device.

    Example::

        model = tavlo_pl.load("runs/mine/checkpoints/best.ckpt")
        heatmap = model.localize(frames, spectrogram)  # (B, T, h, w)
    """
    return load_model(hub.local_path(checkpoint), device, allow_import)


def localize(
    path: str | Path,
    checkpoint: str | Path | None = None,
    maps_per_second: float | None = None,
    aspect: Aspect = "squash",
    device: str | None = None,
    allow_import: tuple[str, ...] = (),
) -> Localization:
    """Localizes the sound sources of a video over time.

    The model stays in memory for further calls with the same checkpoint.

    Args:
        path: a file with a video and an audio stream, of any length.
        checkpoint: as in `load`; by default the packaged one (``tavlo_pl/weights/real.md``).
        maps_per_second: heatmaps per second; by default one per segment, the rate of the model.
        aspect: ``squash`` resizes frames to a square, as in training; ``keep`` pads them with black bars.
        device: ``cpu`` or ``cuda``; a GPU, if there is one, by default.
        allow_import: as in `load`.

    Returns:
        The heatmaps, and for each of them the peak, its score, the box and whether a source is visible.

    Raises:
        MediaError: the video cannot be read, or has no video or audio stream.
        CheckpointError: the checkpoint is missing or unreadable.
        ConfigError: an option has a value that is not possible, or there is no such device.

    Example::

        found = tavlo_pl.localize("clip.mp4", checkpoint="runs/mine/checkpoints/best.ckpt", maps_per_second=4)
        print(found.best.time_s, found.best.x, found.best.y, found.best.visible)
    """
    check_options(maps_per_second, aspect)
    check_packages(allow_import)
    used = str(to_device(device))
    if checkpoint is None:
        warnings.warn(packaged_checkpoint_note("checkpoint="), stacklevel=2)
    chosen = packaged_checkpoint() if checkpoint is None else hub.local_path(checkpoint)
    modified_ns = chosen.stat().st_mtime_ns if chosen.is_file() else 0
    return _load_cached(chosen, modified_ns, used, tuple(allow_import)).localize(
        Path(path), None, maps_per_second, aspect
    )


@lru_cache(maxsize=1)
def _load_cached(checkpoint: Path, modified_ns: int, device: str, allow_import: tuple[str, ...]) -> Localizer:
    """Loads a checkpoint; `modified_ns` is part of the cache key, so that a changed file is loaded again."""
    del modified_ns
    return load_localizer(checkpoint, device, allow_import)
