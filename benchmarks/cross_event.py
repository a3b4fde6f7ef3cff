r"""Draws how models follow the source of a cross-event clip: frames above the same frames under each model's heatmap.

::

    python -m benchmarks.cross_event --split .results/world/test --out FILE.jpg \
        --models '{"TAVLO": "A/checkpoints/best.ckpt", "EZ-VSL": "B/checkpoints/best.ckpt"}'

The clip is a cross-event clip of a procedural world. Unless it is named, it is the one in which both sources are heard
and visible at the most of the moments, and the one with the largest sources of these; models do not influence the
choice. Overlays have the colours and the scale of all others (`viz.overlay`): one linear scale a clip and model.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from PIL import Image, ImageDraw, ImageFont

from benchmarks.scenes import ReplayedClip, replay
from tavlo_pl.data.segments import centres
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.metrics.functional.upsample import upsample
from tavlo_pl.predict.checkpoint import load_localizer
from tavlo_pl.viz.overlay import Scale, blend, map_at, outline, resize, resize_mask

HEIGHT_PX, GAP_PX = 108, 5
LABEL_PX, HEADER_PX, FOOTER_PX = 232, 64, 44
FONT_PX = 24
MARK_PX = 8
"""Radius of the mark of the highest score."""

MOST_BYTES = 200_000
QUALITIES = (92, 88, 84, 80, 75, 70, 60, 50)
"""Qualities of JPEG that are tried until the file is small enough."""

Heatmaps = tuple[np.ndarray, np.ndarray]
"""(T,) times in seconds and (T, h, w) raw scores of a clip."""


def strip(split: str, models: dict[str, str], out: str, clip: str | None = None, moments: int = 8) -> None:
    """Draws the strip and prints at how many moments the highest score of each model is on the source.

    Args:
        split: folder of the test clips of a procedural world.
        models: name -> checkpoint of each model.
        out: the JPEG file.
        clip: name of the clip; chosen as described above if not given.
        moments: number of columns.

    Raises:
        ConfigError: there is no model, or no cross-event clip.
    """
    if not models:
        raise ConfigError("--models: give the checkpoint of at least one model")
    found = replay(Path(split), None if clip is None else [clip])
    found = [each for each in found if each.scene.kind == "cross_event"]
    if not found:
        raise ConfigError(f"{split}: no cross-event clip{'' if clip is None else f' {clip}'}")
    localizers = {name: load_localizer(Path(checkpoint)) for name, checkpoint in models.items()}
    segments = next(iter(localizers.values())).spec.segments
    shown_s = times_s(segments, found[0].world.duration_s, moments)
    chosen = max(found, key=lambda each: seen(each, shown_s))
    maps: dict[str, Heatmaps] = {}
    for name, localizer in localizers.items():
        localized = localizer.localize(chosen.video)
        maps[name] = localized.time_s, localized.heatmap
        print(f"{chosen.scene.name} {name}: {counted(on_source(chosen, maps[name], shown_s))}")
    write_jpeg(draw_strip(chosen, maps, shown_s), Path(out))


def times_s(segments: int, duration_s: float, moments: int) -> list[float]:
    """The moments that are shown: the middle of a segment in as many equal parts of the clip."""
    chosen = ((np.arange(moments) + 0.5) * segments / moments).astype(int)
    shown: list[float] = centres(segments, duration_s)[chosen].tolist()
    return shown


def seen(clip: ReplayedClip, shown_s: Sequence[float]) -> tuple[int, int, int]:
    """How well the sources are seen.

    Returns:
        At how many moments the source that is seen least is heard and visible, at how many any source is, and the
        fewest pixels of a source.
    """
    views = [(time_s, clip.draw(time_s)[1]) for time_s in shown_s]
    sources = [clip.sources(time_s, view) for time_s, view in views]
    audible = [number for number, actor in enumerate(clip.scene.actors) if actor.audible]
    pixels = [view.visible(n) for (_, view), each in zip(views, sources, strict=True) for n in each]
    return min(sum(n in each for each in sources) for n in audible), sum(map(bool, sources)), min(pixels, default=0)


def truth(clip: ReplayedClip, time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) frame at a time, and (H, W) bool pixels of its visible sources."""
    frame, view = clip.draw(time_s)
    return frame, np.isin(view.owner, clip.sources(time_s, view))


def peak(score: np.ndarray, mask: np.ndarray) -> tuple[float, float, bool]:
    """Row and column of the highest pixels of an upsampled map, and whether most of them are in a mask.

    A map whose highest cell is at the border of the frame has several highest pixels, as in the metric `Pointing`.
    """
    upsampled = upsample(torch.from_numpy(score)[None], mask.shape)[0].numpy()
    highest = upsampled >= upsampled.max()
    row, column = np.argwhere(highest).mean(0).tolist()
    return row, column, bool(mask[highest].mean() >= 0.5)


def on_source(clip: ReplayedClip, heatmaps: Heatmaps, shown_s: Sequence[float]) -> list[bool | None]:
    """Whether the highest score is on a visible source at each moment; None where no source is heard and visible."""
    hits: list[bool | None] = []
    for time_s in shown_s:
        _, mask = truth(clip, time_s)
        score = map_at(heatmaps[1], heatmaps[0], time_s)
        hits.append(peak(score, mask)[2] if mask.any() else None)
    return hits


def counted(hits: list[bool | None]) -> str:
    """How many moments hit, as text."""
    known = [hit for hit in hits if hit is not None]
    return f"on the source {sum(known)} of {len(known)}"


def draw_strip(clip: ReplayedClip, maps: Mapping[str, Heatmaps], shown_s: Sequence[float]) -> np.ndarray:
    """Draws the strip.

    Args:
        clip: a clip of a procedural world.
        maps: name -> heatmaps of each model.
        shown_s: times of the columns in seconds.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    step_x, step_y = round(HEIGHT_PX * clip.world.width / clip.world.height) + GAP_PX, HEIGHT_PX + GAP_PX
    size = (LABEL_PX + len(shown_s) * step_x, HEADER_PX + (1 + len(maps)) * step_y + FOOTER_PX)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)

    def text(x: float, y: float, words: str, anchor: str = "lm") -> None:
        pen.multiline_text((x, y), words, "black", font, anchor, align="left" if anchor == "lm" else "center")

    labels = ["source\noutlined"]
    labels += [f"{name}\n{counted(on_source(clip, each, shown_s))}" for name, each in maps.items()]
    text(GAP_PX, HEADER_PX / 2, "time\nsound of")
    for row, label in enumerate(labels):
        text(GAP_PX, HEADER_PX + row * step_y + HEIGHT_PX / 2, label)
    for column, time_s in enumerate(shown_s):
        left = LABEL_PX + column * step_x
        heard = " + ".join(actor.category for actor in clip.scene.actors if actor.sounding_at(time_s))
        text(left + (step_x - GAP_PX) / 2, HEADER_PX / 2, f"{time_s:.2f} s\n{heard or 'nothing'}", "mm")
        frame, mask = truth(clip, time_s)
        plain = resize(frame, HEIGHT_PX)
        shown = resize_mask(mask, plain.shape[:2])
        sheet.paste(Image.fromarray(outline(plain, shown, 2)), (left, HEADER_PX))
        for row, (at_s, heatmap) in enumerate(maps.values(), 1):
            score = map_at(heatmap, at_s, time_s)
            overlaid = outline(blend(plain, Scale.of(heatmap)(score)), shown, 2)
            sheet.paste(Image.fromarray(overlaid), (left, HEADER_PX + row * step_y))
            y, x, hit = peak(score, shown)
            x, y = np.clip((x, y), MARK_PX, np.subtract(plain.shape[1::-1], MARK_PX)).tolist()  # the mark is inside
            _mark(pen, left + x, HEADER_PX + row * step_y + y, on_source=hit)
    bottom = size[1] - FOOTER_PX / 2
    _mark(pen, LABEL_PX + MARK_PX, bottom, on_source=True)
    text(LABEL_PX + 4 * MARK_PX, bottom, "highest score, on the source")
    _mark(pen, LABEL_PX + 3 * step_x, bottom, on_source=False)
    text(LABEL_PX + 3 * step_x + 3 * MARK_PX, bottom, "highest score, elsewhere or no source visible")
    return np.asarray(sheet)


def _mark(pen: ImageDraw.ImageDraw, x: float, y: float, *, on_source: bool) -> None:
    """Draws a ring, or a cross, white on black."""
    for colour, width, radius in (("black", 7, MARK_PX + 2), ("white", 3, MARK_PX)):
        if on_source:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), None, colour, width)
        else:
            for side in (-1, 1):
                pen.line((x - radius, y - side * radius, x + radius, y + side * radius), colour, width)


def write_jpeg(image: np.ndarray, path: Path) -> None:
    """Writes an image as JPEG, in the best quality of at most `MOST_BYTES`."""
    for quality in QUALITIES:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        if file.tell() <= MOST_BYTES:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        part.write_bytes(file.getvalue())


if __name__ == "__main__":
    auto_cli(strip, as_positional=False)
