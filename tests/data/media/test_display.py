"""Orientation and colour: frames, overlay videos and posters look as in a player."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from tavlo_pl.data.media import browser_type, frame_times, map_frames, probe, read_clip, write_clip
from tavlo_pl.data.media.display import Orientation
from tests.helpers.clips import write_numbered
from tests.helpers.display import MATRICES, levels, quadrants, set_matrix
from tests.helpers.media_cases import numbers


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrix_is_applied_as_a_whole(name: str, tmp_path: Path) -> None:
    values, expected = MATRICES[name]
    path = tmp_path / "phone.mp4"
    write_clip(path, [quadrants()] * 3, 25, np.zeros(1920, np.float32), 16_000)
    set_matrix(path, values)
    info, shape = probe(path), expected.shape
    assert (info.height, info.width) == ((64, 96) if shape == (3, 2) else (96, 64))
    frames = read_clip(path, [0.0], None, 0.0, 0.0).frames
    assert np.array_equal(levels(frames[0], shape), expected)
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    copy = read_clip(tmp_path / "copy.mp4", [0.0], None, 0.0, 0.0).frames
    assert np.array_equal(levels(copy[0], shape), expected)
    is_mirrored = values[0] * values[3] - values[1] * values[2] < 0
    assert (browser_type(path) is None) == is_mirrored  # some browsers do not mirror


def test_orientation_is_mirrored_if_its_determinant_is_negative() -> None:
    assert not Orientation(True, True, False).is_mirrored and not Orientation(False, True, True).is_mirrored
    assert Orientation(True, True, True).is_mirrored and Orientation(False, False, True).is_mirrored


COLOURS = {
    "hd": (1, 1, 1, 1),
    "full": (1, 2, 1, 1),
    "sd": (6, 1, 6, 6),
    "hdr": (9, 1, 9, 16),
    "unstated": (2, 0, 2, 2),
}
"""FFmpeg's numbers of matrix, range, primaries and transfer."""


@pytest.mark.parametrize("name", COLOURS)
def test_colour_survives_drawing(name: str, tmp_path: Path) -> None:
    matrix, full, primaries, transfer = COLOURS[name]
    planes = [np.full((64, 96), 120, np.uint8), np.full((32, 48), 90, np.uint8), np.full((32, 48), 180, np.uint8)]
    with av.open(str(tmp_path / "source.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, full
        context.color_primaries, context.color_trc = primaries, transfer
        for number in range(3):
            frame = av.VideoFrame(96, 64, "yuv420p")
            for plane, values in zip(frame.planes, planes, strict=True):
                plane.update(np.pad(values, ((0, 0), (0, plane.line_size - values.shape[1]))).tobytes())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    map_frames(tmp_path / "source.mp4", tmp_path / "copy.mp4", lambda frame, time_s: frame)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        frame = next(container.decode(video=0))
        stated = frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
        means = [float(np.frombuffer(plane, np.uint8)[:32].mean()) for plane in frame.planes]
    assert tuple(int(value) for value in stated) == (matrix, full, primaries, transfer)
    assert means == pytest.approx([120, 90, 180], abs=3)


def test_hd_frames_without_a_stated_matrix_are_bt709(tmp_path: Path) -> None:
    green = np.broadcast_to(np.array((30, 200, 60), np.uint8), (720, 1280, 3))
    write_clip(tmp_path / "hd.mp4", [green], 25, None, 16_000)
    with av.open(str(tmp_path / "hd.mp4")) as container:
        luma = np.frombuffer(next(container.decode(video=0)).planes[0], np.uint8)[0]
    assert luma == pytest.approx(16 + 219 / 255 * (0.2126 * 30 + 0.7152 * 200 + 0.0722 * 60), abs=2)
    frames = read_clip(tmp_path / "hd.mp4", [0.0], None, 0.0, 0.0).frames
    assert np.abs(frames[0, 360, 640].astype(int) - (30, 200, 60)).max() <= 4


def test_rotation_stated_in_key_frames_alone_is_ignored(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mp4", seconds=0.6, x264="keyint=25:bframes=0").path
    with av.open(str(source)) as whole, av.open(str(tmp_path / "sei.mp4"), "w") as copy:
        stream = copy.add_stream_from_template(whole.streams.video[0])
        insert = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", whole.streams.video[0])
        for packet in whole.demux(video=0):
            for changed in insert.filter(packet if packet.size else None):
                changed.stream = stream
                copy.mux(changed)
    with av.open(str(tmp_path / "sei.mp4")) as container:
        assert [frame.rotation != 0 for frame in container.decode(video=0)][:3] == [True, False, False]
    frames = read_clip(tmp_path / "sei.mp4", frame_times(tmp_path / "sei.mp4"), None, 0.0, 0.0).frames
    assert frames.shape == (15, 64, 96, 3) and numbers(frames) == list(range(15))
