"""Images and sounds of the classes: procedural (``Procedural``), or from files (``FromFiles``)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from tavlo_pl.data.media import probe_audio_duration, read_waveform
from tavlo_pl.data.synthetic.appearance import CLASS_LOOKS, SPRITE_PX, draw_background, draw_sprite
from tavlo_pl.data.synthetic.scene import Look, Split, rng_of
from tavlo_pl.data.synthetic.sound import SAMPLE_RATE_HZ, VOICES
from tavlo_pl.errors import DatasetNotFoundError, EmptyMediaError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.io.images import decode_image
from tavlo_pl.io.parsing import LARGEST_FILE_BYTES

BACKGROUNDS, SILENT = "_backgrounds", "_silent"

Share = Split | Literal["all"]
"""Split whose files are used; ``all`` for every file."""

LONGEST_RECORDING_S = 600.0
"""Seconds of a recording that are used; a few megabytes may hold a day of silence."""

PITCH_OCTAVES = 0.25
"""Largest change of the pitch of a recording, up or down."""


class Materials(Protocol):
    """Images and sounds of the classes.

    Attributes:
        categories: classes with a sound.
        silent: classes of objects that never sound.
        has_shared_tone: whether ringing sounds may be a tone that all classes share.
    """

    categories: tuple[str, ...]
    silent: tuple[str, ...]
    has_shared_tone: bool

    def sprite(self, category: str, look: Look) -> Image.Image:
        """A square RGBA cut-out."""

    def background(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """An RGB image of (width, height)."""

    def voice(self, category: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """(samples,) float of the class's sound at ``sound.SAMPLE_RATE_HZ``."""


class Procedural:
    """Procedural images and sounds; needs no files."""

    categories = tuple(CLASS_LOOKS)
    silent: tuple[str, ...] = ()
    has_shared_tone = True

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
    ``<root>/_silent/<class>/*.png`` objects without sound, ``<root>/_backgrounds/*.{jpg,png}`` backgrounds. Where a
    class has several files, training, validation and test use different ones (`share`).

    Args:
        root: the folder.
        split: split whose files are used.

    Attributes:
        new_image: the classes whose images of this split are not in the training set.
        new_sound: the same for recordings.
        files: the split's images and backgrounds, as class or folder, name and bytes.

    Raises:
        DatasetNotFoundError: a class without images or recordings, fewer than five classes, no backgrounds.
    """

    has_shared_tone = False

    def __init__(self, root: str, split: Share) -> None:
        folder = Path(root)
        if not folder.is_dir():
            raise DatasetNotFoundError(
                f"{folder}: no such folder; --sprites takes DIR/<class>/*.png and *.wav|ogg|flac"
            )
        classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
        self.categories = tuple(p.name for p in classes)
        if len(classes) < 5:
            raise DatasetNotFoundError(f"{folder}: {len(classes)} class folders, at least 5 are needed")
        images = {p.name: _files(p, ("png",)) for p in classes}
        recordings = {p.name: _files(p, ("wav", "ogg", "flac")) for p in classes}
        quiet = sorted(p for p in (folder / SILENT).glob("*") if p.is_dir())
        images |= {p.name: _files(p, ("png",)) for p in quiet if p.name not in images}
        self.silent = tuple(p.name for p in quiet if p.name not in recordings)
        self._images = {name: share(files, split) for name, files in images.items()}
        self._recordings = {name: share(files, split) for name, files in recordings.items()}
        self._backgrounds = share(_files(folder / BACKGROUNDS, ("jpg", "jpeg", "png")), split)
        self.new_image = {name for name, files in images.items() if is_new(files, split)}
        self.new_sound = {name for name, files in recordings.items() if is_new(files, split)}
        shown = [*self._images.values(), self._backgrounds]
        self.files = tuple((f.parent.name, f.name, f.stat().st_size) for files in shown for f in files)

    def cutout(self, category: str, look: Look) -> Image.Image:
        """One of the class's cut-outs, without transparent margins."""
        files = self._images[category]
        image = _open(files[look.variant % len(files)], "RGBA")
        return image.crop(image.getchannel("A").getbbox() or (0, 0, *image.size))

    def sprite(self, category: str, look: Look) -> Image.Image:
        """One of the class's cut-outs, fitted into a square."""
        image = self.cutout(category, look)
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
        """A part of a recording of the class from an onset on, in another pitch and tempo; repeated if too short."""
        files = self._recordings[category]
        recording = _recording(files[int(rng.integers(len(files)))])
        factor = 2 ** rng.uniform(-PITCH_OCTAVES, PITCH_OCTAVES)
        recording = np.interp(np.arange(0, len(recording) - 1, factor), np.arange(len(recording)), recording)
        onset = int(rng.choice(_onsets(recording)))
        recording = np.concatenate([recording[onset:], recording[:onset]])
        return np.resize(recording, samples)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    files = sorted(p for p in folder.glob("*") if p.suffix.lower().lstrip(".") in endings)
    if not files:
        raise DatasetNotFoundError(
            f"{folder}: no file ends in {' or '.join('.' + e for e in endings)}; put at least one there"
        )
    return files


@lru_cache(maxsize=64)
def _recording(file: Path) -> np.ndarray:
    """The first `LONGEST_RECORDING_S` of a recording.

    Raises:
        EmptyMediaError: it has fewer than two samples.
    """
    recording = read_waveform(file, 0.0, min(probe_audio_duration(file), LONGEST_RECORDING_S))
    if len(recording) < 2:
        raise EmptyMediaError(f"{file}: the recording has {len(recording)} samples; replace or remove it")
    return recording


def _onsets(recording: np.ndarray) -> np.ndarray:
    """Samples at which a recording becomes loud: within 10 dB of its loudest 50 ms, after something quieter."""
    step = SAMPLE_RATE_HZ // 20
    pieces = recording[: max(1, len(recording) // step) * step]
    level = np.sqrt((pieces.reshape(-1, min(step, len(pieces))) ** 2).mean(1))
    is_loud = level >= level.max() * 10 ** (-10 / 20)
    return np.flatnonzero(is_loud & ~np.concatenate([[False], is_loud[:-1]])) * step


def share(files: list[Path], split: Share) -> list[Path]:
    """The files of a class that a split uses.

    Of one file, all splits use it; of two, test has the second for itself; of three or more, every third one from the
    second on is for test, every sixth one from the third on for validation.
    """
    if len(files) == 1 or split == "all":
        return files
    kept = {"test": set(files[1::3]), "val": set(files[2::6])}
    if split == "train":
        return [file for file in files if file not in kept["test"] | kept["val"]]
    return sorted(kept[split]) or share(files, "train")


def is_new(files: list[Path], split: Share) -> bool:
    """Whether a split uses none of a class's training files."""
    return not set(share(files, split)) & set(share(files, "train"))


def _open(file: Path, mode: str) -> Image.Image:
    content = read_bytes(file, LARGEST_FILE_BYTES, DatasetNotFoundError)
    try:
        return decode_image(content, mode)
    except ValueError as error:
        raise DatasetNotFoundError(f"{file}: not a readable image ({error}); replace or remove it") from error
