"""Clips of two copies of one object, of which one moves with the sound: only the timing tells which one sounds."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.synthetic.activity import RING_S, audible_spans, draw_bursts
from tavlo_pl.data.synthetic.difficulty import LEVELS
from tavlo_pl.data.synthetic.materials import Procedural
from tavlo_pl.data.synthetic.render import Renderer, actor_sound, mix_sound
from tavlo_pl.data.synthetic.scene import Activity, Actor, Look, Path, Scene, rng_of

COLUMNS = (0.27, 0.73)
"""Horizontal positions of the two objects, as shares of the width."""

ASPECT = 16 / 9
"""Width by height of the scene; it is resized to the square input of the models like a video."""


class TwinClips(NamedTuple):
    """N clips.

    Attributes:
        frames: (N, T, S, S, 3) uint8, the frame at the centre of each segment.
        waveform: (N, L) float32.
        masks: (N, T, 2, S, S) bool, pixels of the sounding object and of the silent one.
        audible: (N, T) bool, segments at whose centre the sound is audible.
    """

    frames: np.ndarray
    waveform: np.ndarray
    masks: np.ndarray
    audible: np.ndarray


def draw_twins(seed: int, number: int, duration_s: float) -> Scene:
    """A scene of two equal objects whose bursts are drawn alike; the side of the sounding one is random."""
    rng = rng_of("twins", seed, number)
    category = Procedural.categories[number % len(Procedural.categories)]
    look = Look(
        variant=int(rng.integers(1 << 30)), hue=float(rng.random()), contrast=rng.uniform(0.35, 0.9),
        size=rng.uniform(0.14, 0.19), brightness=rng.uniform(0.7, 1.0),
    )  # fmt: skip
    actors: list[Actor] = []
    for column in rng.permutation(COLUMNS).tolist():
        bursts = draw_bursts(rng, duration_s, [a.activity.bursts for a in actors if a.activity])
        sounds = not actors
        activity = Activity(bursts, bursts if sounds else (), float(rng.uniform(*RING_S)), shared_ring=False)
        path = Path((column, 0.5), (0.02, 0.02), (0.3, 0.3), (rng.uniform(0, 6), rng.uniform(0, 6)), 0.0)
        voice = int(rng.integers(1 << 30))
        actors.append(
            Actor(category, look, path, audible_spans(activity), sounds, (-1.0, duration_s + 1), 0.0, voice, activity)
        )
    return Scene(
        clip_id=f"twins{number:06d}", start_s=0, kind="multi_entity", actors=tuple(actors), annotated=(),
        background_seed=int(rng.integers(1 << 30)), noise_db=-40.0, reverb=(0.2, 0.1),
    )  # fmt: skip


def twin_clips(spec: ClipSpec, count: int, seed: int = 0) -> TwinClips:
    """Renders clips in the format of a model.

    Args:
        spec: the format.
        count: N.
        seed: of all draws.
    """
    size, materials = spec.image_size, Procedural()
    frame_rate = 2 * spec.segments / spec.duration_s  # every second frame is the centre of a segment
    clips = []
    for number in range(count):
        scene = draw_twins(seed, number, spec.duration_s)
        sounds = [actor_sound(actor, spec.duration_s, materials) for actor in scene.actors]
        shape = (round(size * ASPECT), size)
        renderer = Renderer(scene, LEVELS["standard"], shape, spec.duration_s, frame_rate, sounds, materials)
        drawn = [renderer.draw(2 * segment + 1) for segment in range(spec.segments)]
        frames = np.stack([np.asarray(Image.fromarray(image).resize((size, size))) for image, _ in drawn])
        columns = ((np.arange(size) + 0.5) * shape[0] / size).astype(int)
        masks = np.stack([[view.owner[:, columns] == actor for actor in (0, 1)] for _, view in drawn])
        centres = (np.arange(spec.segments) + 0.5) * spec.duration_s / spec.segments
        audible = np.array([scene.actors[0].sounding_at(time_s) for time_s in centres])
        clips.append(TwinClips(frames, mix_sound(scene, sounds)[: spec.samples], masks, audible))
    return TwinClips(*(np.stack(part) for part in zip(*clips, strict=True)))
