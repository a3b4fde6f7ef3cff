"""Heatmaps of reference methods that know facts about a clip: the ceiling of each cue, and chance.

::

    DIR/<split>/oracles/<oracle>/<clip>.npz    heatmap (n, H, W) of the n annotated frames, frame_number (n,)

Each heatmap has its highest value on the visible pixels of one object and falls off around it, so that a threshold that
predicts more pixels than the object has takes those next to it; ``tavlo score`` scores the folders like those of any
method.

- ``any_visible_object`` draws one of the visible objects; its pointing accuracy is chance.
- ``class_oracle`` draws one of the visible objects of the classes that sound at this moment.
- ``synchrony_oracle`` chooses the visible object whose bursts explain the loudness of the audio best: by the
  correlation with the loudness that it would have if all of its bursts sounded, within `WINDOW_S` of the moment and
  while anything is heard. It does not know the classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from tavlo_pl.data.synthetic.activity import RING_S, STEP_S, sound_envelope
from tavlo_pl.data.synthetic.annotate import LEAST_VISIBLE, View
from tavlo_pl.data.synthetic.scene import Activity, Annotated, Scene, rng_of
from tavlo_pl.io.atomic import atomic_path

Oracle = Literal["any_visible_object", "class_oracle", "synchrony_oracle"]

ORACLES: tuple[Oracle, ...] = ("any_visible_object", "class_oracle", "synchrony_oracle")

FALL_OFF = 10
"""Height of the frame divided by the standard deviation, in pixels, with which heatmaps fall off around the object."""

WINDOW_S = 2.0
"""Largest distance in time of what the synchrony oracle compares."""


def write_oracles(
    folder: Path, scene: Scene, frames: Sequence[Annotated], views: Sequence[View], frame_rate: float, duration_s: float
) -> None:
    """Writes the heatmaps of all oracles for the annotated frames of a clip of version 2.

    Args:
        folder: ``DIR/<split>/oracles``.
        scene: the clip.
        frames: its annotated frames.
        views: what is visible in every frame.
        frame_rate: frames a second.
        duration_s: length of the clip in seconds.
    """
    if not frames:
        return
    for oracle in ORACLES:
        heatmaps = []
        for frame in frames:
            number = choose(oracle, scene, frame, views[frame.frame], frame.frame / frame_rate, duration_s)
            heatmaps.append(_heatmap(views[frame.frame].owner, number))
        path = folder / oracle / f"{scene.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = np.array([frame.frame for frame in frames])
        with atomic_path(path) as new, new.open("wb") as file:
            np.savez_compressed(file, heatmap=np.stack(heatmaps), frame_number=numbers)


def _heatmap(owner: np.ndarray, actor: int | None) -> np.ndarray:
    """(H, W) uint8, 255 on the pixels of an actor, falling off around it; zero for None."""
    mask = Image.fromarray(np.where(owner == (-2 if actor is None else actor), 255, 0).astype(np.uint8))
    around = np.asarray(mask.filter(ImageFilter.GaussianBlur(owner.shape[0] / FALL_OFF)))
    return np.where(np.asarray(mask) > 0, 255, np.minimum(around, 254)).astype(np.uint8)


def choose(oracle: Oracle, scene: Scene, frame: Annotated, view: View, time_s: float, duration_s: float) -> int | None:
    """Number of the actor that an oracle chooses in a frame; None if it finds none.

    Args:
        oracle: which one.
        scene: the clip.
        frame: the annotated frame.
        view: what is visible in it.
        time_s: its time.
        duration_s: length of the clip in seconds.
    """
    rng = rng_of(oracle, scene.name, frame.frame)
    visible = [n for n in range(len(scene.actors)) if view.visible(n) >= LEAST_VISIBLE * view.owner.size]
    if oracle == "class_oracle":
        sounding = {scene.actors[source.actor].category for source in frame.sources}
        visible = [n for n in visible if scene.actors[n].category in sounding]
    if not visible:
        return None
    if oracle == "synchrony_oracle":
        times_s = np.arange(0, duration_s, STEP_S)
        times_s = times_s[np.abs(times_s - time_s) <= WINDOW_S]
        times_s = times_s[_loudness(scene, times_s) > 0]
        loudness = _loudness(scene, times_s)
        return max(visible, key=lambda n: _correlation(loudness, _expected(scene, n, times_s)))
    return visible[int(rng.integers(len(visible)))]


def _loudness(scene: Scene, times_s: np.ndarray) -> np.ndarray:
    total = np.zeros(len(times_s))
    for actor in scene.actors:
        if actor.audible and actor.activity is not None:
            total += 10 ** (actor.gain_db / 20) * sound_envelope(actor.activity, times_s)
    return total


def _expected(scene: Scene, actor: int, times_s: np.ndarray) -> np.ndarray:
    """Loudness of an actor if all of its bursts sounded and rang on for the usual time."""
    activity = scene.actors[actor].activity
    if activity is None:
        return np.zeros(len(times_s))
    sounding = Activity(activity.bursts, activity.bursts, float(np.mean(RING_S)), shared_ring=False)
    return sound_envelope(sounding, times_s)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson correlation; 0 where one of the two is constant."""
    if len(one) == 0 or one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
