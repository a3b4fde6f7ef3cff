"""Frames of clips of version 2 from cut-outs and photographs: upright objects that move without becoming others.

An object sways a little, stays upright, and moves with its bursts: a part of it, drawn at random, opens and closes like
a mouth or a wing (a smooth warp), and it hops. Silent objects do the same at their own moments. Each pose of an object
is rendered once, when it is first shown, so that a frame is a few crops and blends.
"""

from itertools import product

import numpy as np
from PIL import Image

from tavlo_pl.data.synthetic.activity import pulse
from tavlo_pl.data.synthetic.annotate import View
from tavlo_pl.data.synthetic.materials import FromFiles
from tavlo_pl.data.synthetic.scene import Actor, Scene, rng_of

LONGEST_SIDE = 2.6
"""Longest side of an object in units of its size (a share of the frame's height)."""

OPENINGS = 6
"""Poses between rest and the strongest warp."""

SWAYS_DEG = (-3.0, 0.0, 3.0)

SWAY_HZ, BEAT_HZ = 0.4, 4.0
"""Frequency of the sway of every object, and of the warp during a burst."""

WARP, HOP = 0.16, 0.035
"""Largest displacement of the warp as a share of the object's side, and height of a hop as a share of the frame's."""

MESH = 6
"""Cells of the warp along each side."""

MARGIN = 1.12
"""Size of the background relative to the frame; the camera moves within it."""


class Composite:
    """Renders the frames of a clip of version 2 from files.

    Args:
        scene: the scene.
        size: (width, height) in pixels.
        duration_s: length in seconds.
        frame_rate: frames a second.
        materials: images of the classes.
    """

    def __init__(
        self, scene: Scene, size: tuple[int, int], duration_s: float, frame_rate: float, materials: FromFiles
    ) -> None:
        self.scene, self.size, self.frame_rate = scene, size, frame_rate
        self.frame_count = round(duration_s * frame_rate)
        times_s = np.arange(self.frame_count) / frame_rate
        self._pulse = [pulse(a.activity.bursts, times_s) if a.activity else 0 * times_s for a in scene.actors]
        self._poses = [Poses(actor, size[1], materials) for actor in scene.actors]
        self._drift = rng_of("drift", scene.background_seed).uniform(0, 2 * np.pi, 2)
        large = (round(MARGIN * size[0]), round(MARGIN * size[1]))
        self._background = np.asarray(materials.background(scene.background_seed, large))

    def draw(self, frame: int) -> tuple[np.ndarray, View]:
        """Renders one frame.

        Returns:
            (H, W, 3) uint8, and what is visible of every actor.
        """
        time_s = frame / self.frame_rate
        width, height = self.size
        left, top = (
            round((share - size) / 2 * (1 + np.sin(rate * time_s + phase)))
            for share, size, rate, phase in zip(
                self._background.shape[1::-1], self.size, (0.35, 0.3), self._drift, strict=True
            )
        )
        canvas = self._background[top : top + height, left : left + width].copy()
        owner = np.full((height, width), -1, np.int8)
        whole = np.zeros(len(self.scene.actors), int)
        for number, actor in enumerate(self.scene.actors):
            if actor.visible_at(time_s):
                whole[number] = self._paste(canvas, owner, number, actor, time_s, float(self._pulse[number][frame]))
        return canvas, View(owner, whole)

    def _paste(
        self, canvas: np.ndarray, owner: np.ndarray, number: int, actor: Actor, time_s: float, strength: float
    ) -> int:
        """Blends an actor into the frame; returns the number of its pixels within it."""
        width, height = self.size
        x, y, _ = actor.position(time_s)
        beat = strength * (0.55 + 0.45 * np.sin(2 * np.pi * BEAT_HZ * time_s + actor.path.phase[0]))
        sway = np.sin(2 * np.pi * SWAY_HZ * time_s + actor.path.phase[1])
        colours, rest, solid = self._poses[number](round(beat * (OPENINGS - 1)), round(sway) + 1)
        rows, columns = solid.shape
        left = round(x * width - columns / 2)
        top = round((y - HOP * strength * abs(np.sin(np.pi * BEAT_HZ * time_s))) * height - rows / 2)
        into = slice(max(top, 0), min(top + rows, height)), slice(max(left, 0), min(left + columns, width))
        if into[0].start >= into[0].stop or into[1].start >= into[1].stop:
            return 0
        part = slice(into[0].start - top, into[0].stop - top), slice(into[1].start - left, into[1].stop - left)
        canvas[into] = colours[part] + (canvas[into] * rest[part] >> 8).astype(np.uint8)
        owner[into][solid[part]] = number
        return int(solid[part].sum())


Pose = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(h, w, 3) uint8 colours times alpha, (h, w, 1) uint16 share of the background in 1/256, (h, w) bool alpha > 1/2."""


class Poses:
    """The poses of an object by opening and sway.

    Args:
        actor: the object.
        height: of the frame in pixels.
        materials: images of the classes.
    """

    def __init__(self, actor: Actor, height: int, materials: FromFiles) -> None:
        look = actor.look
        rng = rng_of("pose", look.variant)
        image = materials.cutout(actor.category, look)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        scale = min(LONGEST_SIDE * look.size, 0.8) * height / max(image.size)
        inner = max(8, round(image.width * scale)), max(8, round(image.height * scale))
        border = round(WARP * max(inner))
        square = Image.new("RGBA", (inner[0] + 2 * border, inner[1] + 2 * border))
        square.paste(image.resize(inner, Image.Resampling.BILINEAR), (border, border))
        self._centre = rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.6)
        self._warped = {0: square}
        self._brightened = np.minimum(np.arange(256) * look.brightness, 255).astype(np.uint16)
        self._poses: dict[tuple[int, int], Pose] = {}

    def __call__(self, opening: int, sway: int) -> Pose:
        """The pose of an opening, 0 to ``OPENINGS`` - 1, and the number of a sway."""
        if (opening, sway) not in self._poses:
            image = self._opened(opening).rotate(SWAYS_DEG[sway], Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
            alpha = pixels[..., 3:].astype(np.uint16)
            colours = (self._brightened[pixels[..., :3]] * alpha // 255).astype(np.uint8)
            self._poses[opening, sway] = colours, (256 * (255 - alpha) // 255).astype(np.uint16), alpha[..., 0] > 127
        return self._poses[opening, sway]

    def _opened(self, opening: int) -> Image.Image:
        if opening not in self._warped:
            square = self._warped[0]
            mesh = _mesh(square.size, self._centre, opening / (OPENINGS - 1))
            self._warped[opening] = square.transform(square.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
        return self._warped[opening]


def _mesh(
    size: tuple[int, int], centre: tuple[float, float], strength: float
) -> list[tuple[tuple[int, int, int, int], tuple[float, ...]]]:
    """The warp as Pillow needs it: cells of the output and the corners of their source."""
    width, height = size
    side = max(size)
    columns = [round(n * width / MESH) for n in range(MESH + 1)]
    rows = [round(n * height / MESH) for n in range(MESH + 1)]

    def source(x: int, y: int) -> tuple[float, float]:
        dx, dy = x - centre[0] * width, y - centre[1] * height
        near = float(np.exp(-(dx * dx + dy * dy) / (2 * (0.22 * side) ** 2)))
        reach = WARP * side * strength * near
        return x - reach * float(np.tanh(dx / (0.1 * side))), y - reach * float(np.tanh(dy / (0.1 * side)))

    cells = []
    for i, j in product(range(MESH), range(MESH)):
        left, right, top, bottom = columns[i], columns[i + 1], rows[j], rows[j + 1]
        corners = (source(left, top), source(left, bottom), source(right, bottom), source(right, top))
        cells.append(((left, top, right, bottom), tuple(value for corner in corners for value in corner)))
    return cells
