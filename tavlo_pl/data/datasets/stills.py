"""Still composites of cut-outs and photographs, with a sound that is drawn anew each time, for training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from tavlo_pl.data.clip import Clip, ClipSource, LazyClips, TrainingGroup
from tavlo_pl.data.media import SAMPLE_RATE_HZ, DecodedClip
from tavlo_pl.data.synthetic.materials import FromFiles, Share
from tavlo_pl.data.synthetic.scene import Look, rng_of
from tavlo_pl.data.synthetic.sound import reverberate
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import atomic_path

SIZE = (640, 360)
"""Width and height of the composites in pixels, before they are scaled to the frames of a clip."""

OBJECTS = (1, 2, 2, 3, 3, 4)
"""Numbers of objects, equally probable."""

SIDES = (0.2, 0.9)
"""Shortest and longest side of an object, in heights of the frame (log-uniform)."""

SILENT_SHARE = 0.15
"""Probability that an object after the first is of a class without sound."""

TILT_DEG, BRIGHTNESS = 8.0, (0.7, 1.15)
"""Largest rotation of an object, and factors of the brightness of the whole image."""

OVERLAP, TRIES = 0.3, 20
"""Share of an object that may lie on others, and places that are tried for less than that."""

LEVELS, NOISES = (-2.0, -0.9), (-4.0, -2.3)
"""Powers of ten of the sound's level and of the background noise (root mean square, full scale 1)."""

QUALITY = 95
"""JPEG quality of kept images."""

ECHO_S, WET = (0.1, 0.6), (0.05, 0.4)
"""Reverberation time of the half of the sounds that have any, and its share."""


class Stills(ClipSource):
    """Still composites: one to four objects on a photograph; one of them sounds, another one at each epoch.

    Item n always has the same image; which of its objects sounds, and with which of ``sounds`` sounds of its class, is
    drawn for each epoch. A sound is a part of a recording with a pitch, level, reverberation and noise of its own. So
    features of frozen encoders are computed once for each image and each sound. The objects are upright and of
    plausible size; they do not move, so that such clips say nothing about time (`TAVLO.training_loss` compares no
    time-shifted audio with them).

    Args:
        root: folder of cut-outs, recordings and backgrounds, as for ``tavlo data synth --sprites``.
        count: number of composites.
        seed: of all draws.
        split: whose files are used, where a class has several (`data.synthetic.materials.share`); ``all`` uses every
            file, for a model that is not tested on any of them.
        sounds: number of different sounds of a class.
        images: folder in which composed images are kept and found again (JPEG); None composes them each time.
        segments: segments of a training item, at most those of a clip; None for those of ``data.clip`` and
            ``data.augment``. As the image is the same in all of them, few are enough beside videos with many.

    Raises:
        ConfigError: ``count``, ``sounds`` or ``segments`` is below 1.
        DatasetNotFoundError: a folder or file is missing or cannot be read.
    """

    def __init__(
        self, root: str, count: int = 4000, seed: int = 0, split: Share = "train", sounds: int = 60,
        images: str | None = None, segments: int | None = None,
    ) -> None:  # fmt: skip
        if min(count, sounds, 1 if segments is None else segments) < 1:
            raise ConfigError(f"count {count}, sounds {sounds} and segments {segments} of Stills: give at least 1")
        self.root, self.count, self.seed, self.split = root, count, seed, split
        self.sounds, self.images, self.segments = sounds, images, segments

    @override
    def clips(self) -> "StillClips":
        """All composites."""
        _materials(self.root, self.split)
        return StillClips(self)

    @override
    def sample_ids(self) -> list[str]:
        """Names of the composites."""
        return self.clips().sample_ids()

    @override
    def check_spec(self, parts: int, duration_s: float) -> None:
        """Rejects more segments of a training item than a clip has."""
        if self.segments is not None and self.segments > parts:
            raise ConfigError(f"segments {self.segments} of Stills: a clip has {parts}; give at most that")


@lru_cache(maxsize=4)
def _materials(root: str, split: Share) -> FromFiles:
    return FromFiles(root, split)


class StillClips(LazyClips):
    """The composites of a data set.

    Args:
        source: the data set.
    """

    def __init__(self, source: Stills) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.count

    @overload
    def __getitem__(self, position: int) -> "StillClip": ...
    @overload
    def __getitem__(self, position: slice) -> "list[StillClip]": ...
    def __getitem__(self, position: int | slice) -> "StillClip | list[StillClip]":
        """One composite, or those of a slice."""
        if isinstance(position, slice):
            return [self[at] for at in range(len(self))[position]]
        number, source = range(len(self))[position], self.source
        kept = None if source.images is None else Path(source.images)
        return StillClip(
            f"still_{source.seed}_{number:06d}",
            Path(source.root),
            split=source.split,
            key=(source.seed, number),
            sounds=source.sounds,
            images=kept,
            segments=source.segments,
        )

    @override
    def sample_ids(self) -> list[str]:
        """Names of the composites."""
        return [f"still_{self.source.seed}_{number:06d}" for number in range(len(self))]

    @override
    def training_groups(self) -> list[TrainingGroup]:
        """One group."""
        return [TrainingGroup(len(self), self.source.segments)]


@dataclass(frozen=True)
class StillClip(Clip):
    """A composite as a clip; ``path`` is the folder of the materials.

    Args:
        split: whose files are used.
        key: determines the image.
        sounds: number of different sounds of a class.
        images: folder in which images are kept, if any.
        segments: of a training item, if not those of other clips.
        draw: determines the sound, together with ``key``.
    """

    split: Share = "train"
    key: tuple[int, int] = (0, 0)
    sounds: int = 60
    images: Path | None = None
    segments: int | None = None
    draw: int = 0

    @property
    @override
    def training_segments(self) -> int | None:
        """Segments of a training item."""
        return self.segments

    @override
    def read(self, times_s: Sequence[float], size: tuple[int, int], duration_s: float) -> DecodedClip:
        """The image at each time, and the sound; see `Clip.read`."""
        frame = np.asarray(self._image().resize(size[::-1], Image.Resampling.BILINEAR))
        times = np.asarray(times_s, np.float64)
        return DecodedClip(np.repeat(frame[None], len(times), 0), times, self.read_waveform(duration_s))

    def _image(self) -> Image.Image:
        """The image, from the folder if it is there."""
        materials = _materials(str(self.path), self.split)
        if self.images is None:
            return Image.fromarray(compose(materials, rng_of("still", *self.key), SIZE)[0])
        digest = sha256(repr((materials.files, self.key)).encode()).hexdigest()
        file = self.images / f"{digest[:32]}.jpg"
        if not file.is_file():
            composed, _ = compose(materials, rng_of("still", *self.key), SIZE)
            self.images.mkdir(parents=True, exist_ok=True)
            with atomic_path(file) as beside:
                Image.fromarray(composed).save(beside, "JPEG", quality=QUALITY)
        with Image.open(file) as image:
            return image.convert("RGB")

    @override
    def read_waveform(self, duration_s: float) -> NDArray[np.float32]:
        """(L,) the sound of one of the objects."""
        materials = _materials(str(self.path), self.split)
        drawn = drawn_objects(materials, rng_of("still", *self.key))
        sounding = [category for category, _ in drawn if category not in materials.silent]
        rng = rng_of("sounding", *self.key, self.draw)
        category, number = sounding[int(rng.integers(len(sounding)))], int(rng.integers(self.sounds))
        samples = round(duration_s * SAMPLE_RATE_HZ)
        return play(materials, category, samples, rng_of("still sound", self.key[0], category, number))

    @override
    def part(self, offset_s: float) -> "StillClip":
        """The clip itself: nothing changes in it."""
        return replace(self, start_s=self.start_s + offset_s)

    @override
    def drawn(self, rng: np.random.Generator) -> "StillClip":
        """The same image with another sound; see `Clip.drawn`."""
        return replace(self, draw=int(rng.integers(1 << 62)))

    @override
    def check_video_length(self, shown_s: NDArray[np.float64], parts: int, duration_s: float) -> None:
        """Does nothing: the image is there at all times."""


def drawn_objects(materials: FromFiles, rng: np.random.Generator) -> list[tuple[str, Look]]:
    """Draws the classes of a composite, the first with a sound, and which of their images are shown."""
    names: list[str] = []
    count = int(rng.choice(OBJECTS))
    while len(names) < count:
        pool = materials.silent if names and materials.silent and rng.random() < SILENT_SHARE else materials.categories
        name = pool[int(rng.integers(len(pool)))]
        if name not in names:
            names.append(name)
    return [(name, Look(int(rng.integers(1 << 30)), 0, 0, 0, 1)) for name in names]


def compose(
    materials: FromFiles, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Draws a composite.

    Args:
        materials: images of the classes.
        rng: decides everything; its first draws are those of `drawn_objects`.
        size: (width, height) in pixels.

    Returns:
        (H, W, 3) uint8 RGB, and (H, W) the number of the visible object, -1 for the background.
    """
    objects = drawn_objects(materials, rng)
    width, height = size
    canvas = materials.background(int(rng.integers(1 << 30)), size)
    owner = np.full((height, width), -1, np.int8)
    for number, (category, look) in enumerate(objects):
        image = _placed(materials.cutout(category, look), height, rng)
        for _ in range(TRIES):
            x = round(rng.uniform(-0.1 * image.width, width - 0.9 * image.width))
            y = round(rng.uniform(0, max(1, height - 0.95 * image.height)))
            into = slice(y, min(y + image.height, height)), slice(max(x, 0), min(x + image.width, width))
            solid = np.asarray(image.getchannel("A"))[: into[0].stop - y, into[1].start - x : into[1].stop - x] > 127
            if (owner[into][solid] >= 0).sum() <= OVERLAP * solid.sum():
                break
        canvas.paste(image, (x, y), image)
        owner[into][solid] = number
    brightness = float(rng.uniform(*BRIGHTNESS))
    return np.minimum(np.asarray(canvas) * brightness, 255).astype(np.uint8), owner


def _placed(image: Image.Image, height: int, rng: np.random.Generator) -> Image.Image:
    """A cut-out mirrored with probability 0.5, scaled and tilted."""
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = height * np.exp(rng.uniform(*np.log(SIDES))) / max(image.size)
    size = max(8, round(image.width * scale)), max(8, round(image.height * scale))
    tilt = rng.uniform(-TILT_DEG, TILT_DEG)
    return image.resize(size, Image.Resampling.BILINEAR).rotate(tilt, Image.Resampling.BILINEAR, expand=True)


def play(materials: FromFiles, category: str, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws a sound of a class: a part of a recording with a level, reverberation and background noise.

    Args:
        materials: recordings of the classes.
        category: the class.
        samples: L, length at ``SAMPLE_RATE_HZ``.
        rng: decides everything.

    Returns:
        (L,) float32 in [-1, 1].
    """
    wave = materials.voice(category, samples, rng)
    if rng.random() < 0.5:
        wave = reverberate(wave, float(rng.uniform(*ECHO_S)), float(rng.uniform(*WET)), rng)
    wave = wave / np.sqrt((wave**2).mean() + 1e-12) * 10 ** rng.uniform(*LEVELS)
    noise = rng.standard_normal(samples) * 10 ** rng.uniform(*NOISES)
    return np.asarray(np.clip(wave + noise, -1, 1), np.float32)
