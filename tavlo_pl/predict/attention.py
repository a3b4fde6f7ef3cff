"""Writes the temporal attention of a model as arrays and images: ``tavlo predict --save_attention true``."""

from pathlib import Path

import numpy as np
from PIL import Image

from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.predict.localizer import Model, ModelWindows
from tavlo_pl.viz.attention import attention_sheet

FRAME_HEIGHT_PX = 96


def write_attention(model: Model, windows: ModelWindows, stem: Path) -> None:
    """Writes ``<stem>.attention.npz`` and, for each block, ``<stem>.attention-<block>.png`` for every window.

    The archive contains ``attention`` (L, 1 + hw, T, T) float16 (``AVLocalizer.temporal_attention``) and
    ``frame_time_s`` (T,). The files of a video with several windows have ``.window<n>`` in their names. An image shows
    the attention weights over the frames for the cell with the highest score of each segment (``viz/attention.py``).

    Args:
        model: computes the attention.
        windows: consecutive windows of a video.
        stem: folder and name of the files.

    Raises:
        ConfigError: the model has no temporal attention.
    """
    attention = model.temporal_attention(windows.frames, windows.spectrogram).half().cpu().numpy()
    heatmap = windows.heatmap.cpu().numpy()
    frames = windows.frames.permute(0, 1, 3, 4, 2).cpu().numpy()
    for row, weights in enumerate(attention):
        name = stem.name + (f".window{windows.first + row}" if windows.total > 1 else "")
        archive = stem.with_name(f"{name}.attention.npz")
        with atomic_path(archive) as part, part.open("wb") as file:
            np.savez_compressed(file, attention=weights, frame_time_s=windows.time_s[row])
        for block, cells in enumerate(weights[:, 1:].astype(np.float32)):
            sheet = attention_sheet(frames[row], heatmap[row], cells, FRAME_HEIGHT_PX)
            with atomic_path(stem.with_name(f"{name}.attention-{block}.png")) as part:
                Image.fromarray(sheet).save(part, "PNG")
