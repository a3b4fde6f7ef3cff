"""Throughput of ``tavlo data shard`` on Ray against the local engine, on one machine with as many processes as cores.

Clips like those of VGGSound, 10 s, 340 x 256 at 25 fps, and small ones of 2 s, 320 x 180 at 12 fps, whose work hardly
exceeds the cost of a task on Ray. A few are synthetic and the others copies. Rounds alternate between the
engines. Counted is the time between the first and the last shard, without the start of processes; the whole time is in
the last column. The target is at least 0.9.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.decode import WORLD
from benchmarks.report import Row, ratio, wall_s, write
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.shards.format import ShardSpec
from tavlo_pl.data.shards.write import write_shards
from tavlo_pl.data.synthetic.write import SyntheticJob, World, write_job
from tavlo_pl.engine.base import Engine
from tavlo_pl.engine.options import DEFAULT_RAY, make_engine

DIFFERENT = 8
CLIPS_PER_SHARD = 20
ROUNDS = 3


class Kind(NamedTuple):
    """Clips of one size."""

    name: str
    world: World
    spec: ShardSpec
    clips: int


KINDS = (
    Kind(
        "10 s, 340x256",
        replace(WORLD, duration_s=10.0, frame_rate=25, width=340, height=256),
        ShardSpec(segments=10, frames_per_segment=3, duration_s=10.0),
        120,
    ),
    Kind(
        "2 s, 320x180",
        replace(WORLD, duration_s=2.0, frame_rate=12, width=320, height=180),
        ShardSpec(segments=4, frames_per_segment=3, duration_s=2.0),
        200,
    ),
)


def make_clips(folder: Path, kind: Kind) -> list[Clip]:
    """Writes the videos."""
    for number in range(DIFFERENT):
        write_job(SyntheticJob(kind.world, folder / "world", "train", None, number))
    videos = sorted((folder / "world").rglob("*.mp4"))
    paths = [folder / f"{number:011d}_000000.mp4" for number in range(kind.clips)]
    for number, path in enumerate(paths):
        shutil.copy(videos[number % DIFFERENT], path)
    return [Clip(path.stem, path) for path in paths]


def seconds(engine: Engine, clips: Sequence[Clip], spec: ShardSpec, out: Path) -> tuple[float, float]:
    """Seconds between the first and the last shard, and of the whole call."""
    whole_s = wall_s(lambda: write_shards(clips, out, spec, engine, CLIPS_PER_SHARD))
    times_s = sorted(path.stat().st_mtime for path in (out / "shards").glob("*.parquet"))
    return times_s[-1] - times_s[0], whole_s


def compare(kind: Kind, workers: int, ray: Engine) -> Row:
    """Measures clips of one size."""
    taken: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as place:
        clips = make_clips(Path(place), kind)
        engines = {"local": make_engine("local", workers, DEFAULT_RAY), "ray": ray}
        for number in range(ROUNDS):
            for name, engine in engines.items():
                taken[name].append(seconds(engine, clips, kind.spec, Path(place, f"{name}{number}")))
    local, on_ray = ([streamed_s for streamed_s, _ in taken[name]] for name in ("local", "ray"))
    counted = kind.clips - CLIPS_PER_SHARD
    detail = f"{counted / min(on_ray):.0f} clips a second at most, the local engine {counted / min(local):.0f}; whole "
    detail += f"calls {min(whole_s for _, whole_s in taken['ray']):.1f} s and "
    detail += f"{min(whole_s for _, whole_s in taken['local']):.1f} s"
    return ratio(f"shards on Ray, clips of {kind.name}", local, on_ray, "× the local engine's throughput", detail)


def main() -> None:
    """Measures and writes the results."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with make_engine("ray", workers, DEFAULT_RAY) as ray:
        write("engine", [compare(kind, workers, ray) for kind in KINDS])


if __name__ == "__main__":
    main()
