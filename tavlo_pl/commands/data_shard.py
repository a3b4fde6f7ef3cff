"""``tavlo data shard``: clips prepared for training, so that no GPU waits for a video decoder."""

import os
from functools import partial
from pathlib import Path

from tavlo_pl.commands.encoders import NO_FEATURES, FeatureOptions, load_encoders
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.data.shards.format import ShardSpec
from tavlo_pl.data.shards.write import write_shards
from tavlo_pl.engine.base import Engine
from tavlo_pl.engine.local import LocalEngine
from tavlo_pl.engine.options import DEFAULT_RAY, EngineName, RayOptions, make_engine
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.remote import is_address, plain

FEATURES = "features"
"""Folder of the features, in that of the shards."""


def shard(  # noqa: PLR0913, PLR0917  # the options of the command
    source: ClipSource,
    out: str,
    segments: int = 10,
    frames_per_segment: int = 3,
    duration_s: float = 10.0,
    image_size: int = 224,
    longest_side: int | None = None,
    quality: int = 80,
    clips_per_shard: int = 256,
    workers: int = 2,
    max_bad_share: float = 0.05,
    limits: Limits = DEFAULT_LIMITS,
    features: FeatureOptions = NO_FEATURES,
    engine: EngineName = "local",
    ray: RayOptions = DEFAULT_RAY,
) -> None:
    """Writes training shards: a few frames a segment as JPEG, and the 16 kHz sound. A killed run resumes.

    With --features.model also the features of frozen encoders, in OUT/features: trainings with these encoders and their
    option cache: OUT/features then compute none, as long as frames and audio are not changed at random
    (--data.augment.flip false).

    Train on them with --data.train tavlo_pl.data.shards.Shards --data.train.root OUT. Clips that cannot be read are in
    OUT/bad_clips.csv, with the reason.

    Args:
        source: the clips, as in data.train: --source tavlo_pl.data.datasets.VGGSound --source.root DIR.
        out: folder to write to, or its URL in object storage (s3://bucket/shards, by fsspec).
        segments: T, segments a clip.
        frames_per_segment: frames stored for each segment, odd: the one at its centre is among them.
        duration_s: length of a clip's span in seconds.
        image_size: height and width of the frames in pixels, as data.clip.image_size will be.
        longest_side: instead, keep the frames' shape with so many pixels on the longest side, to cut random parts out.
        quality: of the JPEG, 1 to 100.
        clips_per_shard: clips of a file, what a killed run loses at most.
        workers: processes of the local engine that read clips.
        max_bad_share: end the run if more than this share of the clips cannot be read.
        limits: what media files may state of themselves.
        features: whose features are computed; none by default.
        engine: where clips are read: local (this machine) or ray (a Ray cluster, extra [ray]).
        ray: options of the engine ray.

    Raises:
        ConfigError: an option that cannot be, or OUT holds shards of another kind.
        DatasetNotFoundError: the clips are not there.
        RunFailedError: too many clips cannot be read.
    """
    if clips_per_shard < 1 or not 0 <= max_bad_share <= 1:
        raise ConfigError("shards need --clips_per_shard of at least 1, and --max_bad_share from 0 to 1.")
    out = plain(out)
    if features.model is not None:
        if is_address(out):
            raise ConfigError(f"--features.model needs shards in a folder, not at {out}.")
        load_encoders(features, str(Path(out) / FEATURES))  # an error of theirs ends the command before the work
    set_limits(limits)
    spec = ShardSpec(segments, frames_per_segment, duration_s, image_size, longest_side, quality)
    with make_engine(engine, workers, ray) as chosen:
        done = write_shards(source.clips(), out, spec, chosen, clips_per_shard, max_bad_share)
        print(
            f"shards: {out} ({done.shards} shards, {done.clips:,} clips, {done.bad:,} of them unreadable, "
            f"{done.bytes / 1e9:.3g} GB)"
        )
        if features.model is not None:
            print(_write_features(out, features, chosen, int(ray.cpus)))


def _write_features(out: str, options: FeatureOptions, engine: Engine, task_cpus: int) -> str:
    """Computes the features of the clips of complete shards; returns what is printed."""
    from tavlo_pl.data.shards.features import compute_features  # it imports torch, which --help does not need

    folder = Path(out) / FEATURES
    make = partial(load_encoders, options, str(folder))
    threads = (os.cpu_count() or 1) // engine.workers if isinstance(engine, LocalEngine) else task_cpus
    clips, unreadable = compute_features(out, make, options.augment_segments, engine, max(1, threads))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"features: {folder} ({clips:,} clips, {unreadable:,} of them unreadable, {size / 1e9:.3g} GB)"
