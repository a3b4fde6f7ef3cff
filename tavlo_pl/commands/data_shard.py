"""``tavlo data shard``: clips prepared for training, so that no GPU waits for a video decoder."""

import re
from functools import partial
from pathlib import Path

from tavlo_pl.commands.encoders import NO_FEATURES, FeatureOptions, load_encoders
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.data.shards.format import ShardSpec
from tavlo_pl.data.shards.write import write_shards
from tavlo_pl.errors import ConfigError

FEATURES = "features"
"""Folder of the features, in that of the shards."""


def shard(
    source: ClipSource,
    out: str,
    segments: int = 10,
    frames_per_segment: int = 3,
    duration_s: float = 10.0,
    image_size: int = 224,
    longest_side: int | None = None,
    quality: int = 80,
    clips_per_shard: int = 256,
    part: str = "0/1",
    workers: int = 2,
    max_bad_share: float = 0.05,
    limits: Limits = DEFAULT_LIMITS,
    features: FeatureOptions = NO_FEATURES,
) -> None:
    """Writes training shards: a few frames a segment as JPEG, and the 16 kHz sound. A killed run resumes.

    With --features.model also the features of frozen encoders, in OUT/features: trainings with these encoders and their
    option cache: OUT/features then compute none, as long as frames and audio are not changed at random
    (--data.augment.flip false).

    Train on them with --data.train tavlo_pl.data.shards.Shards --data.train.root OUT. Clips that cannot be read are in
    OUT/bad_clips.csv, with the reason.

    Args:
        source: the clips, as in data.train: --source tavlo_pl.data.datasets.VGGSound --source.root DIR.
        out: folder to write to, the same for all parts.
        segments: T, segments a clip.
        frames_per_segment: frames stored for each segment, odd: the one at its centre is among them.
        duration_s: length of a clip's span in seconds.
        image_size: height and width of the frames in pixels, as data.clip.image_size will be.
        longest_side: instead, keep the frames' shape with so many pixels on the longest side, to cut random parts out.
        quality: of the JPEG, 1 to 100.
        clips_per_shard: clips of a file, what a killed run loses at most.
        part: i/n, this machine's part of the work: 0/4 to 3/4 on four machines.
        workers: processes that read clips.
        max_bad_share: end the run if more than this share of the clips cannot be read.
        limits: what media files may state of themselves.
        features: whose features are computed; none by default.

    Raises:
        ConfigError: an option that cannot be, or OUT holds shards of another kind.
        DatasetNotFoundError: the clips are not there.
        RunFailedError: too many clips cannot be read.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    i, n = (int(word) for word in match.groups()) if match else (0, 0)
    if i >= n:
        raise ConfigError(f"--part is {part}; give i/n with i from 0 to n - 1, such as 0/4.")
    if min(clips_per_shard, workers) < 1 or not 0 <= max_bad_share <= 1:
        raise ConfigError("shards need --clips_per_shard and --workers of at least 1, and --max_bad_share from 0 to 1.")
    if features.model is not None:
        load_encoders(features, str(Path(out) / FEATURES))  # an error of theirs ends the command before the work
    set_limits(limits)
    spec = ShardSpec(segments, frames_per_segment, duration_s, image_size, longest_side, quality)
    done = write_shards(source.clips(), Path(out), spec, clips_per_shard, (i, n), workers, max_bad_share)
    print(
        f"shards: {out} ({done.shards} of {done.wanted} shards, {done.clips:,} clips, {done.bad:,} of them unreadable, "
        f"{done.bytes / 1e9:.3g} GB)"
    )
    if done.shards < done.wanted:
        print("the other parts are to be run, or still running; whichever ends last completes the folder")
        if features.model is not None:
            print("features are computed when the folder is complete: run this command again then")
    elif features.model is not None:
        _write_features(out, features, (i, n), workers)


def _write_features(out: str, options: FeatureOptions, part: tuple[int, int], workers: int) -> None:
    """Computes the features of the clips of complete shards."""
    from tavlo_pl.data.shards.features import compute_features  # it imports torch, which --help does not need

    folder = Path(out) / FEATURES
    make = partial(load_encoders, options, str(folder))
    clips, unreadable = compute_features(out, make, options.augment_segments, part, workers)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"features: {folder} ({clips:,} clips, {unreadable:,} of them unreadable, {size / 1e9:.3g} GB)")
