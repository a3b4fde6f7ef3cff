"""Records of shards that are compressed or whose values are not finite."""

import zlib

import numpy as np
import pyarrow as pa

from tavlo_pl.data.media import DecodedClip
from tavlo_pl.data.shards.format import RECORD, ShardSpec, from_record, to_record
from tests.helpers.hostile import refusal

SPEC = ShardSpec(segments=2, frames_per_segment=1, duration_s=0.5, image_size=16)


def record(times_s: tuple[float, float] = (0.1, 0.4)) -> pa.RecordBatch:
    clip = DecodedClip(np.zeros((2, 16, 16, 3), np.uint8), np.array(times_s), np.zeros(8000, np.float32))
    return to_record("v_1", "dog", 0.0, SPEC, clip)


def read(data: bytes) -> DecodedClip:
    return from_record(data, zlib.crc32(data), (0, 1), (8, 8), "a.arrow")


def packed(batch: pa.RecordBatch, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, RECORD, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_batch(batch)
    reader = pa.ipc.MessageReader.open_stream(sink.getvalue())
    reader.read_next_message()  # the schema
    message: bytes = reader.read_next_message().serialize().to_pybytes()
    return message


def test_compressed_record_is_refused() -> None:
    good = record()
    assert read(good.serialize().to_pybytes()).frames.shape == (2, 8, 8, 3)
    silence = pa.ListArray.from_arrays(pa.array([0, 2**22], pa.int32()), pa.array(np.zeros(2**22, np.int16)))
    large = pa.record_batch([*good.columns[:5], silence, good.columns[6]], schema=RECORD)
    for codec in ("zstd", "lz4"):
        data = packed(large, codec)
        assert len(data) < 2**18  # of 8 MiB
        assert "compressed" in refusal(lambda data=data: read(data))


def test_record_with_times_that_are_not_finite_is_refused() -> None:
    for times_s in ((0.1, np.nan), (np.inf, 0.4)):
        data = record(times_s).serialize().to_pybytes()
        assert "not finite" in refusal(lambda data=data: read(data))
