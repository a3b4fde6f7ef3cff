"""Writes a procedural world: H.264 + AAC files and annotations in AVATAR's layout, for train, val and test.

::

    DIR/world.json                       the arguments it was made with
    DIR/<split>/video/<clip>.mp4
    DIR/<split>/metadata/<clip>/<frame>.json and .jpg
    DIR/<split>/oracles/<oracle>/<clip>.npz              heatmaps of reference methods (`oracles.py`)
    DIR/train/vggsound.csv               youtube_id,start_seconds,label,split, as VGGSound's list
    DIR/<split>/ids/new_<part>.txt       with --sprites: clips whose sources have images (new_images), recordings
                                         (new_sounds) or both (new_both) that no training clip has

Every clip depends on (seed, split, number) only: equal seeds give byte-identical annotations and equal decoded frames
for any number of processes. An interrupted run resumes.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from tqdm import tqdm

from tavlo_pl.data.annotations import RunLengths, box_of_mask
from tavlo_pl.data.media import write_clip
from tavlo_pl.data.synthetic import version1, version2
from tavlo_pl.data.synthetic.annotate import LEAST_VISIBLE, View, choose_frames
from tavlo_pl.data.synthetic.composite import Composite
from tavlo_pl.data.synthetic.difficulty import LEVELS, Difficulty
from tavlo_pl.data.synthetic.materials import FromFiles, Materials, Procedural
from tavlo_pl.data.synthetic.oracles import write_oracles
from tavlo_pl.data.synthetic.render import Renderer, actor_sound, mix_sound
from tavlo_pl.data.synthetic.scene import KINDS, Annotated, Kind, Scene, Split
from tavlo_pl.data.synthetic.sound import SAMPLE_RATE_HZ
from tavlo_pl.errors import ConfigError
from tavlo_pl.types import TASKS, Scenario

Version = Literal[1, 2]


@dataclass(frozen=True)
class World:
    """The arguments of a world.

    Attributes:
        seed: of all draws.
        difficulty: one of ``scene.LEVELS``.
        sprites: folder of images and recordings; None for the procedural classes.
        duration_s: length of a clip in seconds.
        frame_rate: frames a second.
        width: of the frames in pixels, even.
        height: of the frames in pixels, even.
        frames_annotated: maximum number of annotated frames per clip.
        version: 2, or 1 for the scenes of earlier results (`version1`).
    """

    seed: int
    difficulty: Difficulty
    sprites: str | None
    duration_s: float
    frame_rate: int
    width: int
    height: int
    frames_annotated: int
    version: Version = 2

    def scene(self, split: Split, number: int, kind: Kind | None, materials: Materials) -> Scene:
        """Draws a clip; see `version2.draw_scene`."""
        drawn = (self.seed, split, number, kind, materials.categories, self.difficulty, self.duration_s)
        if self.version == 1:
            return version1.draw_scene(*drawn, self.frame_rate, self.frames_annotated)
        return version2.draw_scene(*drawn, materials.silent, materials.has_shared_tone)


@dataclass(frozen=True)
class SyntheticJob:
    """One clip to write."""

    world: World
    folder: Path
    split: Split
    kind: Kind | None
    number: int


def write_world(
    out: str,
    train_clips: int = 1000,
    clips_per_scenario: int = 40,
    val_clips_per_scenario: int = 16,
    seed: int = 0,
    difficulty: Difficulty = "standard",
    sprites: str | None = None,
    duration_s: float = 4.0,
    frame_rate: int = 25,
    width: int = 192,
    height: int = 108,
    frames_annotated: int = 5,
    workers: int = 2,
    version: Version = 2,
) -> None:
    """Writes procedural audio-visual clips as video files, in AVATAR's layout.

    Args:
        out: output folder; an interrupted run with the same arguments resumes.
        train_clips: number of training clips of all scenarios.
        clips_per_scenario: number of test clips of each scenario and of cross-event.
        val_clips_per_scenario: number of validation clips of each.
        seed: seed of all draws.
        difficulty: easy, standard or hard: number of objects, strength of the motion with the sound, and noise.
        sprites: use DIR/<class>/*.png and *.wav|ogg|flac and DIR/_backgrounds/*.jpg|png instead of procedural classes.
        duration_s: length of a clip in seconds.
        frame_rate: frames a second.
        width: of the frames in pixels, even.
        height: of the frames in pixels, even.
        frames_annotated: maximum number of annotated frames per clip.
        workers: number of processes that render and encode.
        version: of the scenes. In 2, silent objects move like sounding ones; 1 repeats results of earlier commits.

    Raises:
        ConfigError: a number out of range, or ``out`` holds another world.
        DatasetNotFoundError: ``sprites`` lacks images or recordings.
    """
    if width % 2 or height % 2 or min(width, height) < 32:
        raise ConfigError(f"--width {width} --height {height}: H.264 needs even numbers of at least 32")
    if (
        duration_s < 2
        or frame_rate < 5
        or min(train_clips, clips_per_scenario, val_clips_per_scenario) < 0
        or workers < 1
    ):
        raise ConfigError("a world needs --duration_s >= 2, --frame_rate >= 5, no negative counts and --workers >= 1")
    world = World(seed, difficulty, sprites, duration_s, frame_rate, width, height, frames_annotated, version)
    folder = Path(out)
    _claim(folder, world)
    _materials(sprites, "train")
    jobs = [SyntheticJob(world, folder, "train", None, n) for n in range(train_clips)]
    annotated: dict[Split, int] = {"val": val_clips_per_scenario, "test": clips_per_scenario}
    for split, count in annotated.items():
        jobs += [SyntheticJob(world, folder, split, kind, n) for kind in KINDS for n in range(count)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        written = list(
            tqdm(pool.map(write_job, jobs, chunksize=4), total=len(jobs), desc="clips", unit="clip", smoothing=0.02)
        )
    for split, rows in groupby(zip(jobs, written, strict=True), key=lambda row: row[0].split):
        named = [names for _, names in rows]
        _write_list(folder / split / "vggsound.csv", split, named)
        materials = _materials(sprites, split)
        if isinstance(materials, FromFiles) and split != "train":
            _write_new(folder / split / "ids", named, materials)


def _claim(folder: Path, world: World) -> None:
    """Stores the arguments in the folder, and rejects a folder with other arguments."""
    note = folder / "world.json"
    text = json.dumps(asdict(world), indent=1) + "\n"
    if note.exists():
        if note.read_text() != text:
            raise ConfigError(f"{folder} has clips of other arguments ({note}); choose another --out or remove it")
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty and has no world.json; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(text)


def _renderer(
    world: World, scene: Scene, size: tuple[int, int], sounds: list[np.ndarray], materials: Materials
) -> Renderer | Composite:
    if isinstance(materials, FromFiles) and world.version == 2:
        return Composite(scene, size, world.duration_s, world.frame_rate, materials)
    return Renderer(scene, LEVELS[world.difficulty], size, world.duration_s, world.frame_rate, sounds, materials)


@cache
def _materials(sprites: str | None, split: Split) -> Materials:
    return Procedural() if sprites is None else FromFiles(sprites, split)


def write_job(job: SyntheticJob) -> tuple[str, str]:
    """Renders and encodes one clip, unless its video exists; returns its name and label."""
    world = job.world
    materials = _materials(world.sprites, job.split)
    scene = world.scene(job.split, job.number, job.kind, materials)
    video_file = job.folder / job.split / "video" / f"{scene.name}.mp4"
    if not video_file.exists():
        sounds = [actor_sound(a, world.duration_s, materials) for a in scene.actors]
        size = (world.width, world.height)
        renderer = _renderer(world, scene, size, sounds, materials)
        images, views = zip(*(renderer.draw(frame) for frame in range(renderer.frame_count)), strict=True)
        annotated = scene.annotated
        if world.version == 2:
            annotated = choose_frames(scene, views, world.frame_rate, world.frames_annotated)
            if job.split != "train":
                oracles = job.folder / job.split / "oracles"
                write_oracles(oracles, scene, annotated, views, world.frame_rate, world.duration_s)
        _annotate(job.folder / job.split / "metadata" / scene.name, scene, annotated, images, views)
        video_file.parent.mkdir(parents=True, exist_ok=True)
        write_clip(
            video_file, images, world.frame_rate, mix_sound(scene, sounds), SAMPLE_RATE_HZ,
            preset="veryfast" if world.sprites is None else "ultrafast",
        )  # fmt: skip
    return scene.name, scene.label


def _annotate(
    folder: Path, scene: Scene, frames: Sequence[Annotated], images: Sequence[np.ndarray], views: Sequence[View]
) -> None:
    """Writes the annotation and the image of every annotated frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        owner = views[frame.frame].owner
        visible = [s for s in frame.sources if s.scenario is not Scenario.OFF_SCREEN]
        if any((owner == s.actor).mean() < LEAST_VISIBLE for s in visible):
            continue
        annotations = [
            {
                "task": TASKS[source.scenario],
                "audio_visual_category": scene.actors[source.actor].category,
                **({} if source.cue is None else {"cue": source.cue}),
                **_geometry(owner == source.actor),
            }
            for source in frame.sources
        ]
        height, width = owner.shape
        content = {"original_width": width, "original_height": height, "annotations": annotations}
        (folder / f"{frame.frame:05d}.json").write_text(json.dumps(content))
        Image.fromarray(images[frame.frame]).save(folder / f"{frame.frame:05d}.jpg", quality=90)


def _geometry(mask: np.ndarray) -> dict[str, object]:
    """Exact mask as COCO run lengths and its box; nothing for an empty mask."""
    if not mask.any():
        return {}
    lengths = RunLengths.of(mask)
    segmentation = {"size": [lengths.height, lengths.width], "counts": list(lengths.counts)}
    return {"segmentation": segmentation, "bbox": list(box_of_mask(mask))}


def _write_list(file: Path, split: Split, names: list[tuple[str, str]]) -> None:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(_rows(names, split))


def _write_new(folder: Path, names: Sequence[tuple[str, str]], materials: FromFiles) -> None:
    """Lists of the clips whose sounding classes all have new images, new recordings, or both."""
    folder.mkdir(parents=True, exist_ok=True)
    new = {"images": materials.new_image, "sounds": materials.new_sound}
    new["both"] = new["images"] & new["sounds"]
    for part, classes in new.items():
        chosen = [name for name, label in names if set(label.split(", ")) <= classes]
        (folder / f"new_{part}.txt").write_text("".join(f"{name}\n" for name in chosen))


def _rows(names: list[tuple[str, str]], split: Split) -> Iterator[tuple[str, int, str, str]]:
    for name, label in names:
        youtube_id, _, start = name.rpartition("_")
        yield youtube_id, int(start), label, "train" if split == "train" else "test"
