"""Renders a scene: frames, the mask of every object at annotated frames, and the audio."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageEnhance

from tavlo_pl.data.synthetic.difficulty import Level
from tavlo_pl.data.synthetic.materials import Materials
from tavlo_pl.data.synthetic.scene import Actor, Scene, rng_of
from tavlo_pl.data.synthetic.sound import SAMPLE_RATE_HZ, loudness, reverberate

SHAKE_HZ = 7.0
"""Frequency at which an object rotates back and forth while it sounds."""


def actor_sound(actor: Actor, duration_s: float, materials: Materials) -> np.ndarray:
    """(L,) sound of an actor at full scale, faded in and out over 20 ms at the ends of its intervals."""
    out = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    for begin_s, end_s in actor.intervals:
        begin, end = round(max(begin_s, 0) * SAMPLE_RATE_HZ), round(min(end_s, duration_s) * SAMPLE_RATE_HZ)
        played = materials.voice(actor.category, end - begin, rng_of("voice", actor.voice_seed))
        fade = np.minimum(1, np.minimum(np.arange(end - begin), np.arange(end - begin)[::-1]) / (0.02 * SAMPLE_RATE_HZ))
        out[begin:end] = played[: end - begin] * fade
    rms = np.sqrt((out[out != 0] ** 2).mean()) if out.any() else 1.0
    return np.asarray(0.12 * out / (rms + 1e-9))


def mix_sound(scene: Scene, sounds: list[np.ndarray]) -> np.ndarray:
    """(L,) float32 audio: audible actors at their levels, reverberation and background noise; peaks below 1."""
    rng = rng_of("room", scene.background_seed)
    total = sum(
        (s * 10 ** (a.gain_db / 20) for a, s in zip(scene.actors, sounds, strict=True) if a.audible),
        np.zeros_like(sounds[0]),
    )
    total = reverberate(total, *scene.reverb, rng)
    total += 0.12 * 10 ** (scene.noise_db / 20) * rng.standard_normal(len(total))
    return np.asarray(total / max(1.0, np.abs(total).max() / 0.95), dtype=np.float32)


class Renderer:
    """Renders the frames of a scene.

    Args:
        scene: the scene.
        level: parameters of the difficulty.
        size: (width, height) in pixels.
        duration_s: length in seconds.
        frame_rate: frames a second.
        sounds: (L,) sound of every actor, audible or not; the actor pulses with it.
        materials: images and sounds of the classes.
    """

    def __init__(
        self,
        scene: Scene,
        level: Level,
        size: tuple[int, int],
        duration_s: float,
        frame_rate: float,
        sounds: list[np.ndarray],
        materials: Materials,
    ) -> None:
        self.scene, self.level, self.size, self.frame_rate = scene, level, size, frame_rate
        self.frame_count = round(duration_s * frame_rate)
        times_s = np.arange(self.frame_count) / frame_rate
        self._pulse = [loudness(s, times_s) if s.any() else np.zeros(len(times_s)) for s in sounds]
        self._sprites = [materials.sprite(a.category, a.look) for a in scene.actors]
        self._drift = rng_of("drift", scene.background_seed).uniform(0, 2 * np.pi, 2)
        self._background = materials.background(scene.background_seed, (round(size[0] * 1.3), round(size[1] * 1.3)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 in order."""
        for frame in range(self.frame_count):
            yield self.draw(frame)[0]

    def draw(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Renders one frame and the visible actor of each pixel.

        Returns:
            (H, W, 3) uint8, and (H, W) int: number of the actor that is visible at a pixel, -1 for the background.
        """
        time_s = frame / self.frame_rate
        width, height = self.size
        dx = 0.15 * width * (1 + np.sin(0.35 * time_s + self._drift[0]))
        dy = 0.15 * height * (1 + np.sin(0.3 * time_s + self._drift[1]))
        canvas = self._background.transform(
            self.size, Image.Transform.AFFINE, (1, 0, dx, 0, 1, dy), Image.Resampling.BILINEAR
        )
        owner = np.full((height, width), -1)
        for number, actor in enumerate(self.scene.actors):
            if actor.visible_at(time_s):
                self._paste(canvas, owner, number, actor, time_s, float(self._pulse[number][frame]))
        return np.asarray(canvas), owner

    def _paste(
        self, canvas: Image.Image, owner: np.ndarray, number: int, actor: Actor, time_s: float, pulse: float
    ) -> None:
        width, height = self.size
        x, y, angle = actor.position(time_s)
        angle += 0.35 * pulse * np.sin(2 * np.pi * SHAKE_HZ * time_s)
        radius = actor.look.size * height * (1 + self.level.pulse * pulse)
        stretch = 1 + 0.5 * self.level.pulse * pulse * np.sin(2 * np.pi * SHAKE_HZ * time_s + 1)
        sprite = self._sprites[number]
        half = sprite.width / 2
        reach = int(np.ceil(radius * 1.6))
        left, top = round(x * width) - reach, round(y * height) - reach
        if not (-2 * reach < left < width and -2 * reach < top < height):
            return
        ux, uy = x * width - left, y * height - top
        # PIL needs the inverse map, from pixels of the patch to those of the sprite
        c, s = np.cos(angle) * half / radius, np.sin(angle) * half / radius
        a, b, d, e = c * stretch, s * stretch, -s / stretch, c / stretch
        patch = sprite.transform(
            (2 * reach, 2 * reach),
            Image.Transform.AFFINE,
            (a, b, half - a * ux - b * uy, d, e, half - d * ux - e * uy),
            Image.Resampling.BILINEAR,
        )
        alpha = patch.getchannel("A")
        glow = 1 + self.level.glow * pulse
        canvas.paste(ImageEnhance.Brightness(patch.convert("RGB")).enhance(glow), (left, top), alpha)
        seen = np.asarray(alpha) > 127
        rows = slice(max(top, 0), min(top + 2 * reach, height))
        columns = slice(max(left, 0), min(left + 2 * reach, width))
        inside = seen[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        owner[rows, columns][inside] = number
