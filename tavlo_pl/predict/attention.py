"""What ``tavlo predict --save_attention true`` adds: the temporal attention of every block, numbers and pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.predict.localizer import Model, Seen
from tavlo_pl.viz.attention import attention_sheet

PICTURE_HEIGHT_PX = 96


def write_attention(model: Model, seen: Seen, stem: Path) -> None:
    """Writes ``<stem>.attention.npz`` and, a block, ``<stem>.attention-<block>.png`` for every window.

    The archive holds ``attention`` (L, 1 + hw, T, T) float16 (``AVLocalizer.temporal_attention``) and ``frame_time_s``
    (T,). A video of several windows has them all, with ``.window<n>`` in the names. The picture shows, for the cell
    with the highest score at each segment, the frames it looks at (``viz/attention.py``).

    Args:
        model: whose attention it is.
        seen: some windows of a video.
        stem: folder and name of the files.

    Raises:
        ConfigError: the model has no temporal attention.
    """
    attention = model.temporal_attention(seen.frames, seen.spectrogram).half().cpu().numpy()
    heatmap = seen.heatmap.cpu().numpy()
    frames = seen.frames.permute(0, 1, 3, 4, 2).cpu().numpy()
    for row, weights in enumerate(attention):
        name = stem.name + (f".window{seen.number + row}" if seen.count > 1 else "")
        archive = stem.with_name(f"{name}.attention.npz")
        with atomic_path(archive) as part, part.open("wb") as file:
            np.savez_compressed(file, attention=weights, frame_time_s=seen.time_s[row])
        for block, cells in enumerate(weights[:, 1:].astype(np.float32)):
            sheet = attention_sheet(frames[row], heatmap[row], cells, PICTURE_HEIGHT_PX)
            with atomic_path(stem.with_name(f"{name}.attention-{block}.png")) as part:
                Image.fromarray(sheet).save(part, "PNG")
