"""Renders a scene: frames, the mask of every object at annotated frames, and the audio."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageEnhance

from tavlo_pl.data.synthetic.activity import FAINTEST, RING_LEVEL, pulse
from tavlo_pl.data.synthetic.annotate import View
from tavlo_pl.data.synthetic.difficulty import Level
from tavlo_pl.data.synthetic.materials import Materials
from tavlo_pl.data.synthetic.scene import Activity, Actor, Scene, rng_of
from tavlo_pl.data.synthetic.sound import SAMPLE_RATE_HZ, loudness, reverberate, shared_tone

SHAKE_HZ = 7.0
"""Frequency at which an object rotates back and forth while it sounds."""


RMS = 0.12
"""Root mean square of the sound of an actor."""

FADE_S = 0.02


def actor_sound(actor: Actor, duration_s: float, materials: Materials) -> np.ndarray:
    """(L,) sound of an actor at full scale, zero where it is silent."""
    if actor.activity is not None:
        return burst_sound(actor, actor.activity, duration_s, materials)
    out = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    for begin_s, end_s in actor.intervals:
        begin, end = round(max(begin_s, 0) * SAMPLE_RATE_HZ), round(min(end_s, duration_s) * SAMPLE_RATE_HZ)
        played = materials.voice(actor.category, end - begin, rng_of("voice", actor.voice_seed))
        fade = np.minimum(
            1, np.minimum(np.arange(end - begin), np.arange(end - begin)[::-1]) / (FADE_S * SAMPLE_RATE_HZ)
        )
        out[begin:end] = played[: end - begin] * fade
    rms = np.sqrt((out[out != 0] ** 2).mean()) if out.any() else 1.0
    return np.asarray(RMS * out / (rms + 1e-9))


def burst_sound(actor: Actor, activity: Activity, duration_s: float, materials: Materials) -> np.ndarray:
    """(L,) sound of an actor of version 2: its voice from the onset of each audible burst on, ringing after its end."""
    out = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    tail_s = activity.ring_s * np.log(RING_LEVEL / FAINTEST) + 0.3
    for number, (begin_s, end_s) in enumerate(activity.audible):
        later = activity.audible[number + 1 :]
        stop_s = min(end_s + tail_s, later[0][0] if later else duration_s, duration_s, activity.damped_s)
        begin, end, stop = (round(max(time_s, 0) * SAMPLE_RATE_HZ) for time_s in (begin_s, min(end_s, stop_s), stop_s))
        voice = materials.voice(actor.category, stop - begin, rng_of("voice", actor.voice_seed))
        voice = RMS * voice / (np.sqrt((voice[: end - begin] ** 2).mean()) + 1e-9)
        ringing = np.clip((np.arange(stop - begin) - (end - begin)) / SAMPLE_RATE_HZ, 0, None)
        if activity.shared_ring:
            tone = shared_tone(stop - begin, rng_of("ring", actor.voice_seed))
            tone = RMS * tone / np.sqrt((tone**2).mean())
            change = np.clip(ringing / FADE_S, 0, 1)
            voice = (1 - change) * voice + change * tone
        level = np.where(ringing > 0, RING_LEVEL * np.exp(-ringing / activity.ring_s), 1.0)
        fade = np.minimum(1, np.arange(stop - begin)[::-1] / (FADE_S * SAMPLE_RATE_HZ))
        out[begin:stop] = voice * level * fade
    return out


def mix_sound(scene: Scene, sounds: list[np.ndarray]) -> np.ndarray:
    """(L,) float32 audio: audible actors at their levels, reverberation and background noise; peaks below 1."""
    rng = rng_of("room", scene.background_seed)
    total = sum(
        (s * 10 ** (a.gain_db / 20) for a, s in zip(scene.actors, sounds, strict=True) if a.audible),
        np.zeros_like(sounds[0]),
    )
    total = reverberate(total, *scene.reverb, rng)
    total += RMS * 10 ** (scene.noise_db / 20) * rng.standard_normal(len(total))
    return np.asarray(total / max(1.0, np.abs(total).max() / 0.95), dtype=np.float32)


class Renderer:
    """Renders the frames of a scene.

    Args:
        scene: the scene.
        level: parameters of the difficulty.
        size: (width, height) in pixels.
        duration_s: length in seconds.
        frame_rate: frames a second.
        sounds: (L,) sound of every actor, audible or not; actors of version 1 pulse with it.
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
        self._pulse = [_pulse(actor, sound, times_s) for actor, sound in zip(scene.actors, sounds, strict=True)]
        self._sprites = [materials.sprite(a.category, a.look) for a in scene.actors]
        self._drift = rng_of("drift", scene.background_seed).uniform(0, 2 * np.pi, 2)
        self._background = materials.background(scene.background_seed, (round(size[0] * 1.3), round(size[1] * 1.3)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 in order."""
        for frame in range(self.frame_count):
            yield self.draw(frame)[0]

    def draw(self, frame: int) -> tuple[np.ndarray, View]:
        """Renders one frame.

        Returns:
            (H, W, 3) uint8, and what is visible of every actor.
        """
        time_s = frame / self.frame_rate
        width, height = self.size
        dx = 0.15 * width * (1 + np.sin(0.35 * time_s + self._drift[0]))
        dy = 0.15 * height * (1 + np.sin(0.3 * time_s + self._drift[1]))
        canvas = self._background.transform(
            self.size, Image.Transform.AFFINE, (1, 0, dx, 0, 1, dy), Image.Resampling.BILINEAR
        )
        owner = np.full((height, width), -1, np.int8)
        whole = np.zeros(len(self.scene.actors), int)
        for number, actor in enumerate(self.scene.actors):
            if actor.visible_at(time_s):
                whole[number] = self._paste(canvas, owner, number, actor, time_s, float(self._pulse[number][frame]))
        return np.asarray(canvas), View(owner, whole)

    def _paste(
        self, canvas: Image.Image, owner: np.ndarray, number: int, actor: Actor, time_s: float, pulse: float
    ) -> int:
        """Pastes an actor; returns the number of its pixels within the frame."""
        width, height = self.size
        x, y, angle = actor.position(time_s)
        angle += 0.35 * pulse * np.sin(2 * np.pi * SHAKE_HZ * time_s)
        radius = actor.look.size * height * (1 + self.level.pulse * pulse)
        stretch = 1.0
        if actor.activity is None:  # in version 2 the shape of a single frame must not tell that an object moves
            stretch += 0.5 * self.level.pulse * pulse * np.sin(2 * np.pi * SHAKE_HZ * time_s + 1)
        sprite = self._sprites[number]
        half = sprite.width / 2
        reach = int(np.ceil(radius * 1.6))
        left, top = round(x * width) - reach, round(y * height) - reach
        if not (-2 * reach < left < width and -2 * reach < top < height):
            return 0
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
        glow = actor.look.brightness * (1 + self.level.glow * pulse)
        canvas.paste(ImageEnhance.Brightness(patch.convert("RGB")).enhance(glow), (left, top), alpha)
        seen = np.asarray(alpha) > 127
        rows = slice(max(top, 0), min(top + 2 * reach, height))
        columns = slice(max(left, 0), min(left + 2 * reach, width))
        inside = seen[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        owner[rows, columns][inside] = number
        return int(inside.sum())


def _pulse(actor: Actor, sound: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """(N,) strength of an actor's motion at (N,) times, 0..1."""
    if actor.activity is not None:
        return pulse(actor.activity.bursts, times_s)
    return loudness(sound, times_s) if sound.any() else np.zeros(len(times_s))
