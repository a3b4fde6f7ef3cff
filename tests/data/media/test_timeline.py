"""Files whose presentation times restart, overlap, jump, wrap or are edited: one rising clock for frames and audio."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet

from tavlo_pl.data.media import MemoryFile, frame_times, map_frames, probe, read_clip, read_waveform
from tavlo_pl.data.media.packets import Packets
from tavlo_pl.data.media.timeline import make_timeline
from tavlo_pl.errors import MediaError
from tests.helpers.clips import write_numbered
from tests.helpers.media_cases import B_PYRAMID, numbers, peaks_s
from tests.helpers.parts import assert_in_sync, assert_same_as_sequential, concatenate, decode_all, edit, renumber

WRAP_S = 2**33 / 90_000
STARTS: dict[str, tuple[str, list[float], float]] = {
    "restart.ts": (".ts", [0.0, 0.0], 2.0),
    "thrice.ts": (".ts", [5.0, 5.0, 0.0], 3.0),
    "hour.ts": (".ts", [0.0, 3600.0], 2.0),
    "back.ts": (".ts", [3600.0, 0.0], 2.0),
    "overlap.ts": (".ts", [0.0, 0.9], 2.0),
    "wrap.ts": (".ts", [WRAP_S - 0.5, 0.5], 2.0),
    "gap.ts": (".ts", [0.0, 3.0], 4.0),  # a gap of two seconds is kept
    "restart.mpg": (".mpg", [0.0, 0.0], 2.0),
    "restart.mkv": (".mkv", [0.0, 0.0], 2.0),
    "restart.webm": (".webm", [0.0, 0.0], 2.0),
    "overlap.mkv": (".mkv", [0.0, 0.9], 2.0),
    "restart.flv": (".flv", [0.0, 0.0], 2.0),
}
"""Suffix, start of each part of one second on its clock, and length of the whole in seconds."""


@pytest.mark.parametrize("name", STARTS)
def test_parts_have_one_rising_clock(name: str, tmp_path: Path) -> None:
    suffix, starts_s, length_s = STARTS[name]
    path = concatenate(tmp_path / f"parts{suffix}", starts_s, x264=B_PYRAMID)
    info = assert_same_as_sequential(path)
    assert info.duration_s == pytest.approx(length_s, abs=0.08)
    assert info.frame_count == 25 * len(starts_s)
    assert ("parts with clocks of their own are joined" in "".join(info.notes)) == (name not in ("gap.ts", "wrap.ts"))


def packets_at(time_s: list[float], order: list[int], duration_s: float) -> Packets:
    """Headers of packets that are decoded in the order of presentation."""
    times, no, yes = np.array(time_s), np.zeros(len(time_s), bool), np.ones(len(time_s), bool)
    ticks = np.rint(times * 90_000).astype(np.int64)
    return Packets(np.array(order), ticks, times, times, np.full(len(times), duration_s), yes, no, no)


def test_last_audio_of_a_part_stays_in_it() -> None:
    """FFmpeg returns the last packet of a stream when the next one begins, which is behind the first new frame."""
    video = packets_at([0.0, 0.04, 0.08, 0.04, 0.08, 0.12], [0, 2, 4, 5, 7, 8], 0.04)
    audio = packets_at([0.0, 0.032, 0.064, 0.096, 0.03, 0.062], [1, 3, 6, 9, 10, 11], 0.032)
    timeline = make_timeline(video, audio, 0.0, has_resets=True)
    assert timeline.video is not None and timeline.audio is not None and timeline.parts == 2
    assert timeline.video.time_s == pytest.approx(np.arange(6) / 25)
    assert timeline.audio.time_s == pytest.approx([0.0, 0.032, 0.064, 0.096, 0.11, 0.142])


@pytest.mark.parametrize("joined", [False, True])
def test_overlay_video_of_parts_has_their_frames(joined: bool, tmp_path: Path) -> None:
    path = concatenate(tmp_path / "parts.ts", [0.0, 0.0], x264=B_PYRAMID)
    if joined:
        renumber(path)
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    time_s = frame_times(tmp_path / "copy.mp4")
    assert time_s == pytest.approx(frame_times(path), abs=1e-3)
    clip = read_clip(tmp_path / "copy.mp4", time_s, None, 0.0, 2.2)
    assert numbers(clip.frames) == list(range(50))
    assert_in_sync(time_s, clip, decode_all(path).flashes)
    assert peaks_s(clip.waveform) == pytest.approx(peaks_s(read_waveform(path, 0.0, 2.2)), abs=2e-3)


EDITS: dict[str, list[tuple[float, float]]] = {
    "middle": [(0.2, 0.6), (1.4, 0.6)],
    "repeat": [(0.2, 0.6), (0.2, 0.6)],
    "exchange": [(1.2, 0.6), (0.2, 0.6)],
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("x264", ["keyint=12:bframes=0", "keyint=250:bframes=2:b-adapt=0"])
def test_edit_list_of_several_segments(name: str, x264: str, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "edit.mp4", seconds=2.4, x264=x264, click_s=(0.5, 1.6)).path
    edit(path, EDITS[name])
    info = assert_same_as_sequential(path)
    expected = [round(start_s * 25) + n for start_s, length_s in EDITS[name] for n in range(round(length_s * 25))]
    assert decode_all(path).numbers == expected
    assert info.duration_s == pytest.approx(1.2, abs=0.05)
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    time_s = frame_times(tmp_path / "copy.mp4")
    assert numbers(read_clip(tmp_path / "copy.mp4", time_s, None, 0.0, 0.0).frames) == expected


def test_edit_list_with_a_pause_is_refused(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "pause.mp4", seconds=2.4).path
    edit(path, [(0.2, 0.6), (None, 0.4), (1.4, 0.6)])
    for file in (path, MemoryFile("pause.mp4", path.read_bytes())):
        with pytest.raises(MediaError, match="its edit list has a pause without frames"):
            frame_times(file)
    late = write_numbered(tmp_path / "late.mp4", video_start_s=0.7).path
    assert frame_times(late)[0] == pytest.approx(0.7)  # an empty segment at the start is a late start


def test_edit_beyond_the_end_adds_no_length(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "edit.mp4", seconds=2.4, click_s=(0.5,)).path
    edit(path, [(0.2, 0.6), (1.8, 3.0)])
    info = assert_same_as_sequential(path)
    assert (info.duration_s, info.audio_s) == (pytest.approx(1.2, abs=0.05), pytest.approx(1.2, abs=0.05))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_length_is_the_later_end_of_video_and_audio(suffix: str, tmp_path: Path) -> None:
    for video_s, audio_s in ((1.0, 2.0), (2.0, 1.0)):
        times_s = np.arange(round(video_s * 25)) / 25
        info = probe(write_numbered(tmp_path / f"a{suffix}", seconds=audio_s, times_s=times_s, click_s=(0.5,)).path)
        assert info.video_s == pytest.approx(video_s, abs=0.05)
        assert info.audio_s == pytest.approx(audio_s, abs=0.05)
        assert info.duration_s == pytest.approx(2.0, abs=0.05)


def add_cue(source: Path, path: Path, until_s: float) -> None:
    """Copies a file and adds a subtitle that is shown until a time."""
    with av.open(str(source)) as file, av.open(str(path), "w") as output:
        copies = {stream.index: output.add_stream_from_template(stream) for stream in file.streams}
        cues = output.add_stream("ass")
        for packet in file.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
        cue = Packet(b"0,0,Default,,0,0,0,,hello")
        cue.stream, cue.time_base = cues, Fraction(1, 1000)
        cue.pts = cue.dts = 100
        cue.duration = round(1000 * until_s) - 100
        output.mux(cue)


def test_subtitle_does_not_count_for_the_length(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mkv", seconds=1.0, click_s=(0.5,)).path
    add_cue(source, tmp_path / "cue.mkv", 30.0)
    with av.open(str(tmp_path / "cue.mkv")) as file:
        assert file.duration is not None and file.duration > 29e6  # what the container states, in microseconds
    info = assert_same_as_sequential(tmp_path / "cue.mkv")
    assert info.duration_s == pytest.approx(1.0, abs=0.05)


def test_live_recording_without_a_stated_length(tmp_path: Path) -> None:
    form: dict[str, Any] = {"video_codec": "libvpx-vp9", "audio_codec": "libopus", "options": {"live": "1"}}
    path = write_numbered(tmp_path / "live.webm", seconds=2.0, times_s=np.arange(25) / 25, **form).path
    info = probe(path)
    assert info.duration_s == pytest.approx(2.0, abs=0.05) and info.video_s == pytest.approx(1.0, abs=0.05)


def test_damaged_timestamp_does_not_begin_a_part(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.ts", seconds=2.0).path
    content = bytearray(path.read_bytes())
    stamp = -1
    for _ in range(30):
        stamp = content.index(b"\0\0\1\xe0", stamp + 1)  # header of a frame; its time is in the bytes 9 to 13
    content[stamp + 9] ^= 0x08  # the highest bit of 33
    path.write_bytes(content)
    assert probe(path).notes == () and len(frame_times(path)) == 49
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.05)
