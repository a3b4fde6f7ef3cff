"""Format of training shards: conversion of clips to and from record batches.

::

    ROOT/shards.json               how they were made (``ShardSpec``), and of which list of clips
    ROOT/shards/00012.arrow        Arrow IPC file (Feather 2), uncompressed, one record batch of one row a clip
    ROOT/shards/00012.parquet      its part of the index; there as soon as the shard is whole
    ROOT/index.parquet             sample_id, category, reason, and the bytes of its record batch, for each clip
    ROOT/bad_clips.csv             clips that could not be read, with the reason

Each record batch can be read separately, so that a clip needs one ranged read from disk or object storage; the index
has its offset and checksum. Frames are JPEG with 4:2:0 chroma, as in the videos. Audio is 16-bit PCM; its quantization
noise is below the floor of the spectrogram (``FLOOR_DB``).
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.data import segments
from tavlo_pl.data.media import DecodedClip, MediaInfo
from tavlo_pl.data.media.limits import limits
from tavlo_pl.errors import ConfigError, CorruptMediaError

NOTE = "shards.json"
INDEX = "index.parquet"
BAD_CLIPS = "bad_clips.csv"

LARGEST_RECORD_BYTES = 2**28
"""Maximum size of a clip; one of ten seconds has about 1 MB."""

MOST = 1_000_000
"""Largest number of segments, pixels and seconds; they may come from a ``shards.json`` of somebody else."""

FULL_SCALE = 32_768
"""The int16 value of amplitude 1.0."""

RECORD = pa.schema(
    {
        "sample_id": pa.string(),
        "category": pa.string(),
        "start_s": pa.float64(),
        "frames": pa.list_(pa.binary()),
        "frame_time_s": pa.list_(pa.float64()),
        "waveform": pa.list_(pa.int16()),
        "reason": pa.string(),
    }
)
"""Schema of a clip in a shard; an unreadable clip has a reason and no data."""

ENTRY = pa.schema(
    {
        "sample_id": pa.string(),
        "category": pa.string(),
        "start_s": pa.float64(),
        "reason": pa.string(),
        "shard": pa.int32(),
        "offset": pa.int64(),
        "bytes": pa.int64(),
        "crc32": pa.uint32(),
    }
)
"""Schema of a clip in the index."""


@dataclass(frozen=True)
class ShardSpec:
    """Parameters of the stored clips.

    Args:
        segments: T, segments of a clip.
        frames_per_segment: F, odd, so that the frame at the centre of a segment is stored.
        duration_s: length of a clip's span.
        image_size: height and width of the frames in pixels, without preserving the aspect ratio.
        longest_side: instead of ``image_size``: number of pixels of the longest side; the aspect ratio is preserved.
        quality: of the JPEG, 1 to 100.

    Raises:
        ConfigError: a number is out of range.
    """

    segments: int = 10
    frames_per_segment: int = 3
    duration_s: float = 10.0
    image_size: int = 224
    longest_side: int | None = None
    quality: int = 80

    def __post_init__(self) -> None:
        sizes = (self.segments, self.image_size, self.longest_side or 1)
        counts = all(type(number) is int for number in (*sizes, self.frames_per_segment, self.quality))
        if not counts or not all(0 < size <= MOST for size in sizes) or not 0 < self.duration_s <= MOST:
            raise ConfigError(
                f"shards need --segments, --duration_s and --image_size or --longest_side above 0 and up to {MOST:,}."
            )
        if not 1 <= self.frames_per_segment <= MOST or self.frames_per_segment % 2 == 0:
            raise ConfigError(
                f"--frames_per_segment is {self.frames_per_segment}; it must be odd, so that the frame of a segment's "
                "centre is among them."
            )
        if not 1 <= self.quality <= 100:
            raise ConfigError(f"--quality is {self.quality}; JPEG has 1 to 100.")

    @property
    def count(self) -> int:
        """T * F frames of a clip."""
        return self.segments * self.frames_per_segment

    @property
    def square(self) -> tuple[int, int] | None:
        """Height and width of the stored frames, if they do not depend on the video."""
        return (self.image_size, self.image_size) if self.longest_side is None else None

    def fitted(self, video: MediaInfo) -> tuple[int, int]:
        """Height and width of the stored frames with preserved aspect ratio; small videos are not enlarged."""
        longest = max(video.width, video.height)
        scale = min(self.longest_side or longest, longest) / longest
        return max(1, round(video.height * scale)), max(1, round(video.width * scale))

    def times_s(self) -> NDArray[np.float64]:
        """(T * F,) times of the stored frames, in seconds from the start of the span."""
        return segments.centres(self.count, self.duration_s)

    def nearest(self, offsets_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) index of the stored frame nearest to each time of the span."""
        return np.clip((offsets_s * (self.count / self.duration_s)).astype(np.int64), 0, self.count - 1)

    def holds(self, parts: int, duration_s: float) -> bool:
        """Whether each segment has its own stored frames, one of them at its centre."""
        return duration_s == self.duration_s and self.count % parts == 0 and self.count // parts % 2 == 1


def shard_name(number: int) -> str:
    """Path of a shard below its root."""
    return f"shards/{number:05d}.arrow"


def to_record(
    sample_id: str, category: str | None, start_s: float, spec: ShardSpec, clip: DecodedClip
) -> pa.RecordBatch:
    """Converts a clip that was read at ``times_s`` to a record batch of one row."""
    frames = [simplejpeg.encode_jpeg(frame, spec.quality, colorsubsampling="420") for frame in clip.frames]
    loudness = np.rint(clip.waveform * np.float32(FULL_SCALE))
    samples = np.clip(loudness, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    waveform = pa.ListArray.from_arrays(np.array([0, len(samples)], np.int32), samples)
    columns = [[sample_id], [category], [start_s], [frames], [clip.frame_time_s.tolist()], waveform, [None]]
    return pa.record_batch(columns, schema=RECORD)


def to_bad_record(sample_id: str, category: str | None, start_s: float, reason: str) -> pa.RecordBatch:
    """The record batch of a clip that cannot be read."""
    return pa.record_batch([[sample_id], [category], [start_s], [None], [None], [None], [reason]], schema=RECORD)


def from_record(
    data: bytes, crc32: int, chosen: Sequence[int], size: tuple[int, int] | None, where: str
) -> DecodedClip:
    """Reads a record batch.

    Args:
        data: its bytes.
        crc32: expected checksum.
        chosen: indices of the frames to decode; empty to read the audio only.
        size: height and width of the frames in pixels; None for the stored size.
        where: the clip, for messages.

    Raises:
        CorruptMediaError: the bytes differ from those written.
    """
    if zlib.crc32(data) != crc32:
        raise CorruptMediaError(f"{where}: damaged: the checksum differs; copy the shard again or write it again.")
    try:
        message = pa.ipc.read_message(data)
        if _is_compressed(message.metadata.to_pybytes()):
            raise ValueError("its buffers are compressed")
        record = pa.ipc.read_record_batch(message, RECORD)
        record.validate(full=True)  # the file may have been written by another program, with a valid checksum
        shown_s = record["frame_time_s"].values.to_numpy()
        if not np.isfinite(shown_s).all():
            raise ValueError("the time of a frame is not finite")
        samples = record["waveform"].values.to_numpy()
        return DecodedClip(
            frames=_decoded([record["frames"].values[at].as_py() for at in chosen], size),
            frame_time_s=shown_s[list(chosen)] if chosen else np.empty(0),
            waveform=np.multiply(samples, np.float32(1 / FULL_SCALE), dtype=np.float32),
        )
    except (pa.ArrowException, ValueError, TypeError, LookupError, EOFError, OSError, struct.error) as error:
        raise CorruptMediaError(f"{where}: damaged: not a clip of tavlo ({error}); write the shard again.") from error


def _is_compressed(message: bytes) -> bool:
    """Whether the buffers of a record batch are compressed, so that they would unpack to any size.

    The message is a flatbuffer: the header, a union, is its field 2; that of a record batch has the compression in
    field 3.
    """

    def field(table: int, number: int) -> int:
        """Place of a field of a table, 0 if it has none."""
        entries = table - struct.unpack_from("<i", message, table)[0]
        size: int = struct.unpack_from("<H", message, entries)[0]
        place: int = struct.unpack_from("<H", message, entries + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
        return table + place if place else 0

    def target(place: int) -> int:
        return place + int(struct.unpack_from("<I", message, place)[0])

    header = field(target(0), 2)
    return bool(header and field(target(header), 3))


def _decoded(images: Sequence[bytes], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """(N, H, W, 3) frames. The flags save a tenth of the time and cost 0.5 dB PSNR."""
    stored = simplejpeg.decode_jpeg_header(images[0])[:2] if images else (0, 0)  # all frames of a clip have one size
    if math.prod(stored) > limits().pixels:
        raise ValueError(f"an image of {stored[1]} x {stored[0]} pixels")
    frames = np.empty((len(images), *(size or stored), 3), np.uint8)
    for frame, image in zip(frames, images, strict=True):
        height, width, *_ = simplejpeg.decode_jpeg_header(image)
        if (height, width) != stored:
            raise ValueError(f"an image of {width} x {height} pixels")
        if frame.shape[:2] == stored:
            simplejpeg.decode_jpeg(image, fastdct=True, fastupsample=True, buffer=frame)
        else:
            frame[:] = _scaled(simplejpeg.decode_jpeg(image, fastdct=True, fastupsample=True), frame.shape[:2])
    return frames


def _scaled(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR))
