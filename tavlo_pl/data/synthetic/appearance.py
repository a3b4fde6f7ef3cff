"""The looks of the procedural world: cut-out sprites and textured backgrounds, drawn or read from files.

A sprite is an RGBA image of ``SPRITE_PX`` pixels a side whose object touches the border of the inscribed circle.
"""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tavlo_pl.data.synthetic.scene import Look, rng_of

SPRITE_PX = 96

Outline = Callable[[np.ndarray], np.ndarray]
"""Radius (0..1) of a shape at given angles in radians."""


def _regular(corners: int) -> Outline:
    step = 2 * np.pi / corners
    return lambda a: np.cos(step / 2) / np.cos((a % step) - step / 2)


def _star(points: int, inner: float) -> Outline:
    return lambda a: inner + (1 - inner) * np.abs(1 - 2 * ((a * points / (2 * np.pi)) % 1))


OUTLINES: dict[str, Outline] = {
    "disk": np.ones_like,
    "triangle": _regular(3),
    "square": _regular(4),
    "hexagon": _regular(6),
    "star": _star(5, 0.45),
    "burst": _star(11, 0.7),
    "cross": lambda a: np.minimum(
        1, np.maximum(0.32 / np.maximum(np.abs(np.sin(a)), 1e-3), 0.32 / np.maximum(np.abs(np.cos(a)), 1e-3))
    ),
    "ellipse": lambda a: 0.5 / np.sqrt((0.5 * np.cos(a)) ** 2 + np.sin(a) ** 2),
    "petals": lambda a: 0.62 + 0.38 * np.cos(4 * a),
    "drop": lambda a: 0.45 + 0.55 * np.abs(np.cos(a / 2)) ** 3,
    "bean": lambda a: 0.62 + 0.21 * np.cos(2 * a) - 0.16 * np.cos(a),
    "gear": lambda a: 0.84 + 0.16 * np.sign(np.sin(8 * a)),
}


def _plain(x: np.ndarray, _y: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    return 0.15 * x


def _stripes(x: np.ndarray, _y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sign(np.sin(rng.uniform(8, 11) * x))


def _dots(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    k = rng.uniform(8, 10)
    return np.where(np.sin(k * x) * np.sin(k * y) > 0.35, 1.0, -1.0)


def _checker(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    k = rng.uniform(5.5, 7.5)
    pattern: np.ndarray = np.sign(np.sin(k * x) * np.sin(k * y))
    return pattern


def _rings(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pattern: np.ndarray = np.sign(np.sin(rng.uniform(11, 14) * np.hypot(x, y)))
    return pattern


def _halves(x: np.ndarray, _y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sign(x + rng.uniform(-0.15, 0.15))


TEXTURES = {
    "plain": _plain,
    "stripes": _stripes,
    "dots": _dots,
    "checker": _checker,
    "rings": _rings,
    "halves": _halves,
}

CLASS_LOOKS: dict[str, tuple[str, str]] = {
    "bell": ("drop", "rings"),
    "flute": ("ellipse", "stripes"),
    "buzz": ("hexagon", "plain"),
    "drum": ("disk", "halves"),
    "siren": ("triangle", "stripes"),
    "rattle": ("gear", "dots"),
    "wind": ("petals", "plain"),
    "chirp": ("star", "halves"),
    "organ": ("square", "checker"),
    "motor": ("burst", "rings"),
    "pluck": ("bean", "dots"),
    "clicks": ("cross", "checker"),
}
"""Shape and texture of every class; each texture serves two or more classes."""


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def draw_sprite(category: str, look: Look) -> Image.Image:
    """The cut-out of a procedural object, RGBA, ``SPRITE_PX`` a side; colour reaches past the edge of the shape."""
    rng = rng_of("sprite", look.variant)
    shape, texture = CLASS_LOOKS[category]
    axis = (np.arange(SPRITE_PX) + 0.5) / SPRITE_PX * 2 - 1
    x, y = np.meshgrid(axis, axis)
    tone = TEXTURES[texture](x, y, rng)[..., None]
    saturation, value = rng.uniform(0.55, 0.95), rng.uniform(0.55, 0.8)
    bright = _rgb(look.hue, saturation, value)
    dark = _rgb(look.hue + rng.uniform(-0.08, 0.08), saturation, value * (1 - look.contrast))
    rgb = 0.5 * (bright + dark) + 0.5 * tone * (bright - dark)
    angles = np.linspace(0, 2 * np.pi, 181)[:-1]
    radius = OUTLINES[shape](angles) * SPRITE_PX * 2 - 4
    corners = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None] + SPRITE_PX * 2
    alpha = Image.new("L", (SPRITE_PX * 4, SPRITE_PX * 4))
    ImageDraw.Draw(alpha).polygon([tuple(c) for c in corners], fill=255)
    sprite = Image.fromarray(rgb.clip(0, 255).astype(np.uint8))
    sprite.putalpha(alpha.resize((SPRITE_PX, SPRITE_PX), Image.Resampling.BOX))
    return sprite


def draw_background(seed: int, size: tuple[int, int]) -> Image.Image:
    """A textured image of (width, height): clouds of several scales between two colours, with a faint weave."""
    rng = rng_of("background", seed)
    width, height = size
    field = np.zeros((height, width))
    for octave in range(2, 7):
        grid = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        cloud = Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)
        field += np.asarray(cloud) * 0.62**octave
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    weave = (
        np.sin(np.arange(width) * rng.uniform(0.1, 0.6))[None]
        * np.sin(np.arange(height) * rng.uniform(0.1, 0.6))[:, None]
    )
    field = field + rng.uniform(0, 0.12) * weave
    low = _rgb(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.4))
    high = _rgb(rng.random(), rng.uniform(0.1, 0.5), rng.uniform(0.45, 0.8))
    rgb = low + field[..., None] * (high - low)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)
