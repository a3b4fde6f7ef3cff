"""`tavlo_pl.load` and `tavlo_pl.localize`: a checkpoint and one video, from Python."""

import warnings
from functools import lru_cache
from pathlib import Path

from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.checkpoint import TOY_WORLD, load_localizer, load_model, ready_checkpoint
from tavlo_pl.predict.localizer import Aspect, Localizer
from tavlo_pl.predict.sources import Localization


def load(checkpoint: str | Path, device: str | None = None, allow_import: tuple[str, ...] = ()) -> AVLocalizer:
    """The model of a checkpoint, in evaluation mode; nothing but plain values is read from the file.

    Args:
        checkpoint: what ``tavlo fit`` wrote (``.ckpt``), or released weights (``.safetensors``).
        device: ``cpu`` or ``cuda``; by default a GPU if there is one.
        allow_import: your packages whose classes the checkpoint's configuration may name; naming one runs it.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable or not of this package.

    Example::

        model = tavlo_pl.load("runs/mine/checkpoints/best.ckpt")
        heatmap = model.localize(frames, spectrogram)  # (B, T, h, w)
    """
    return load_model(Path(checkpoint), device, allow_import)


def localize(
    path: str | Path,
    checkpoint: str | Path | None = None,
    maps_per_second: float | None = None,
    aspect: Aspect = "squash",
    device: str | None = None,
    allow_import: tuple[str, ...] = (),
) -> Localization:
    """Which pixels of a video make its sound, over time.

    The model is kept for the next video of the same checkpoint.

    Args:
        path: a video file with pictures and sound, of any length.
        checkpoint: what ``tavlo fit`` wrote; by default the ready one, which knows a toy world only.
        maps_per_second: by default one map a segment, the model's own rate.
        aspect: ``squash`` the picture to a square, as in training, or ``keep`` its shape, with black bars.
        device: ``cpu`` or ``cuda``; by default a GPU if there is one.
        allow_import: packages of yours whose classes the checkpoint's configuration may name; naming one runs it.

    Returns:
        maps, and for each of them the peak, its score, its box and whether a source is visible.

    Raises:
        MediaError: the video cannot be read, has no picture or no sound.
        CheckpointError: the checkpoint is missing or unreadable.
        ConfigError: an option out of range.

    Example::

        found = tavlo_pl.localize("clip.mp4", checkpoint="runs/mine/checkpoints/best.ckpt", maps_per_second=4)
        print(found.best.time_s, found.best.x, found.best.y, found.best.visible)
    """
    if checkpoint is None:
        warnings.warn(TOY_WORLD.replace("--ckpt_path", "checkpoint="), stacklevel=2)
    chosen = ready_checkpoint() if checkpoint is None else Path(checkpoint)
    changed = chosen.stat().st_mtime_ns if chosen.is_file() else 0
    return _loaded(chosen, changed, device, allow_import).localize(Path(path), None, maps_per_second, aspect)


@lru_cache(maxsize=1)
def _loaded(checkpoint: Path, changed: int, device: str | None, allow_import: tuple[str, ...]) -> Localizer:
    """The model of a checkpoint; `changed` tells one that was trained on from what it was."""
    return load_localizer(checkpoint, device, allow_import)
