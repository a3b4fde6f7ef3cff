"""Images and sounds of the classes: procedural (``Procedural``), or from files (``FromFiles``)."""

from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from tavlo_pl.data.media import probe_audio_duration, read_waveform
from tavlo_pl.data.synthetic.appearance import CLASS_LOOKS, SPRITE_PX, draw_background, draw_sprite
from tavlo_pl.data.synthetic.scene import Look, Split, rng_of
from tavlo_pl.data.synthetic.sound import VOICES
from tavlo_pl.errors import DatasetNotFoundError

BACKGROUNDS = "_backgrounds"


class Materials(Protocol):
    """Images and sounds of the classes."""

    categories: tuple[str, ...]

    def sprite(self, category: str, look: Look) -> Image.Image:
        """A square RGBA cut-out."""

    def background(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """An RGB image of (width, height)."""

    def voice(self, category: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """(samples,) float of the class's sound at ``sound.SAMPLE_RATE_HZ``."""


class Procedural:
    """Procedural images and sounds; needs no files."""

    categories = tuple(CLASS_LOOKS)

    def sprite(self, category: str, look: Look) -> Image.Image:
        """A cut-out of the class's shape and texture."""
        return draw_sprite(category, look)

    def background(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """Clouds of two colours."""
        return draw_background(seed, size)

    def voice(self, category: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """The sound of the class with a random pitch and rhythm."""
        return VOICES[category](samples, rng)


class FromFiles:
    """Real images and recordings.

    ``<root>/<class>/*.png`` are cut-outs with alpha, ``<root>/<class>/*.{wav,ogg,flac}`` recordings,
    ``<root>/_backgrounds/*.{jpg,png}`` backgrounds. If a class has several files, every third one is used for test
    clips only.

    Args:
        root: the folder.
        split: split whose files are used.

    Raises:
        DatasetNotFoundError: a class without images or recordings, fewer than five classes, no backgrounds.
    """

    def __init__(self, root: str, split: Split) -> None:
        folder = Path(root)
        if not folder.is_dir():
            raise DatasetNotFoundError(
                f"{folder}: no such folder; --sprites takes DIR/<class>/*.png and *.wav|ogg|flac"
            )
        classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
        self.categories = tuple(p.name for p in classes)
        if len(classes) < 5:
            raise DatasetNotFoundError(f"{folder}: {len(classes)} class folders, at least 5 are needed")
        self._images = {p.name: _share(_files(p, ("png",)), split) for p in classes}
        self._recordings = {p.name: _share(_files(p, ("wav", "ogg", "flac")), split) for p in classes}
        self._backgrounds = _share(_files(folder / BACKGROUNDS, ("jpg", "jpeg", "png")), split)

    def sprite(self, category: str, look: Look) -> Image.Image:
        """One of the class's cut-outs, fitted into a square."""
        files = self._images[category]
        image = _open(files[look.variant % len(files)], "RGBA")
        image.thumbnail((SPRITE_PX * 2, SPRITE_PX * 2))
        side = max(image.size)
        square = Image.new("RGBA", (side, side))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        return square

    def background(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """A random crop of one of the backgrounds, mirrored with probability 0.5."""
        rng = rng_of("background file", seed)
        image = _open(self._backgrounds[int(rng.integers(len(self._backgrounds)))], "RGB")
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        scale = rng.uniform(0.7, 1.0) * min(image.width / size[0], image.height / size[1])
        width, height = scale * size[0], scale * size[1]
        left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
        return image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))

    def voice(self, category: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """A random part of one of the class's recordings, repeated if it is too short."""
        files = self._recordings[category]
        file = files[int(rng.integers(len(files)))]
        recording = read_waveform(file, 0.0, probe_audio_duration(file))
        if len(recording) < samples:
            recording = np.tile(recording, samples // len(recording) + 1)
        begin = int(rng.integers(len(recording) - samples + 1))
        return recording[begin : begin + samples].astype(np.float64)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = sorted(p for p in folder.glob("*") if p.suffix.lower().lstrip(".") in endings)
    if not files:
        raise DatasetNotFoundError(
            f"{folder}: no file ends in {' or '.join('.' + e for e in endings)}; put at least one there"
        )
    return files


def _share(files: list[Path], split: Split) -> list[Path]:
    if len(files) == 1:
        return files
    kept = set(files[1::3])
    return [f for f in files if (f in kept) == (split == "test")]


def _open(file: Path, mode: str) -> Image.Image:
    try:
        with Image.open(file) as image:
            return image.convert(mode)
    except (UnidentifiedImageError, OSError) as error:
        raise DatasetNotFoundError(f"{file}: not a readable image; replace or remove it") from error
