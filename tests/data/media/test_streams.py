"""Streams that change within a file, repeat frames, lack times or begin in their middle, and files with several."""

from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from tavlo_pl import env
from tavlo_pl.data.media import (
    frame_times,
    map_frames,
    probe,
    read_clip,
    read_waveform,
    select_streams,
    selected_streams,
)
from tavlo_pl.errors import ConfigError, MediaError
from tests.helpers.clips import CODECS, draw_number, has_flash, write_numbered
from tests.helpers.media_cases import numbers, peaks_s
from tests.helpers.parts import assert_in_sync, assert_same_as_sequential, concatenate, renumber


@pytest.mark.parametrize(
    "form",
    [
        {"audio_codec": "ac3", "channel_gains": [(1.0,) * 6, (1.0, 1.0)]},
        {"audio_codec": "aac", "channel_gains": [(1.0, 1.0), (1.0,)]},
        {"audio_codec": "mp2", "sample_rate_hz": [48_000, 44_100]},
    ],
)
def test_audio_format_may_change(form: dict[str, object], tmp_path: Path) -> None:
    path = concatenate(tmp_path / "joined.ts", [0.0, 1.0], **form)
    renumber(path)
    heard_s = peaks_s(read_waveform(path, 0.0, 2.0))
    assert heard_s == pytest.approx([0.4, 1.4], abs=0.07)
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    assert peaks_s(read_waveform(tmp_path / "copy.mp4", 0.0, 2.0)) == pytest.approx(heard_s, abs=0.003)
    assert numbers(read_clip(tmp_path / "copy.mp4", frame_times(path), None, 0.0, 0.0).frames) == list(range(50))


def test_frame_size_may_change(tmp_path: Path) -> None:
    path = concatenate(tmp_path / "sizes.ts", [0.0, 0.0], size=[(64, 96), (128, 160)])
    renumber(path)
    time_s = frame_times(path)
    frames = read_clip(path, time_s, None, 0.0, 0.0).frames
    assert frames.shape[1:3] == (probe(path).height, probe(path).width) == (64, 96)
    assert numbers(frames) == list(range(50))
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    assert numbers(read_clip(tmp_path / "copy.mp4", time_s, None, 0.0, 0.0).frames) == list(range(50))


def remux(source: Path, destination: Path, change: object) -> Path:
    """Copies the packets of a file; ``change(packet)`` returns the packets to write for a video packet."""
    assert callable(change)
    with av.open(str(source)) as whole, av.open(str(destination), "w") as copy:
        copies = {stream.index: copy.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is None:
                continue
            index = packet.stream_index
            for written in change(packet) if packet.stream.type == "video" else [packet]:
                written.stream = copies[index]
                copy.mux(written)
    return destination


def test_empty_packets_show_the_frame_before_them_again(tmp_path: Path) -> None:
    source = write_numbered(
        tmp_path / "source.avi", video_codec="mjpeg", audio_codec="pcm_s16le", click_s=(0.5, 1.46)
    ).path
    ticks = count()
    path = remux(source, tmp_path / "repeats.avi", lambda packet: [] if next(ticks) % 3 else [packet])
    assert path.read_bytes().count(b"00dc\0\0\0\0") > 30, "the muxer fills gaps with empty packets"
    info = assert_same_as_sequential(path)
    assert info.frame_count == 17 and frame_times(path) == pytest.approx(np.arange(17) * 0.12)
    shown = numbers(read_clip(path, np.arange(50) / 25 + 0.01, None, 0.0, 0.0).frames)
    assert shown == [number // 3 * 3 for number in range(50)]
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    assert frame_times(tmp_path / "copy.mp4") == pytest.approx(frame_times(path), abs=1e-3)


def test_two_frames_in_one_packet_of_a_transport_stream(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.ts", x264="keyint=12:bframes=0:aud=1").path
    waiting: list[av.Packet] = []

    def pair(packet: av.Packet) -> list[av.Packet]:
        waiting.append(packet)
        if len(waiting) < 2:
            return []
        first, second = waiting
        waiting.clear()
        both = av.Packet(bytes(first) + bytes(second))
        both.pts, both.dts, both.time_base, both.is_keyframe = first.pts, first.dts, first.time_base, first.is_keyframe
        return [both]

    path = remux(source, tmp_path / "pairs.ts", pair)
    assert_same_as_sequential(path)
    assert np.diff(frame_times(path)) == pytest.approx(0.04, abs=0.001) and probe(path).frame_count == 50


def test_stream_cut_within_an_intra_refresh(tmp_path: Path) -> None:
    refresh = "keyint=25:bframes=0:intra-refresh=1"
    source = write_numbered(tmp_path / "whole.ts", seconds=5.0, size=(128, 160), x264=refresh).path
    content = source.read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(content[len(content) // 188 // 3 * 188 :])
    info, time_s = probe(path), frame_times(path)
    assert any("begins at its first whole frame" in note for note in info.notes)
    shown = numbers(read_clip(path, time_s, None, 0.0, 0.0).frames)
    assert shown == list(range(125 - len(shown), 125)) and len(shown) > 40
    assert numbers(read_clip(path, [0.0], None, 0.0, 0.0).frames) == shown[:1]
    map_frames(path, tmp_path / "copy.mp4", lambda frame, time_s: frame)
    assert numbers(read_clip(tmp_path / "copy.mp4", frame_times(path), None, 0.0, 0.0).frames) == shown


def test_program_stream_cut_within_an_audio_block(tmp_path: Path) -> None:
    form: dict[str, Any] = {"video_codec": "mpeg2video", "audio_codec": "mp2"}
    content = write_numbered(tmp_path / "whole.mpg", seconds=3.0, click_s=(2.5,), **form).path.read_bytes()
    path = tmp_path / "cut.mpg"
    path.write_bytes(content[len(content) // 3 // 2048 * 2048 :])
    time_s = frame_times(path)
    clip = read_clip(path, time_s, None, 0.0, probe(path).duration_s)
    shown = numbers(clip.frames)
    assert shown == list(range(75 - len(shown), 75)) and len(shown) > 20
    assert_in_sync(time_s, clip, [number for number, frame in enumerate(clip.frames) if has_flash(frame)])


def test_joined_ogg_files_are_refused(tmp_path: Path) -> None:
    form: dict[str, Any] = {"video_codec": "libvpx", "audio_codec": "libopus"}
    path = concatenate(tmp_path / "two.ogv", [0.0, 0.0], options=[{"serial_offset": n} for n in ("1", "9")], **form)
    with pytest.raises(MediaError, match=r"two\.ogv: FFmpeg does not read .* joined Ogg files"):
        probe(path)


def write_streams(path: Path, videos: int, default_video: int, default_audio: int, is_still: bool = False) -> Path:
    """Writes several video streams, which begin at the numbers 0, 100, …, and a silent and a clicking audio stream."""
    loud = write_numbered(path.with_name("loud.mkv"), seconds=1.0, video=False, click_s=(0.5,)).path
    quiet = write_numbered(path.with_name("quiet.mkv"), seconds=1.0, video=False, click_s=()).path
    with av.open(str(path), "w") as container, av.open(str(quiet)) as first, av.open(str(loud)) as second:
        encoders = []
        for number in range(videos):
            encoder = container.add_stream("libx264", rate=25, options=CODECS["libx264"][1])
            encoder.height, encoder.width, encoder.pix_fmt = 64, 96, "yuv420p"
            encoder.disposition = Disposition.default if number == default_video else Disposition(0)
            encoders.append(encoder)
        copies = []
        for number, source in enumerate((first, second)):
            copies.append(container.add_stream_from_template(source.streams.audio[0]))
            copies[-1].disposition = Disposition.default if number == default_audio else Disposition(0)
        for source, copy in zip((first, second), copies, strict=True):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copy
                    container.mux(packet)
        for number, encoder in enumerate(encoders):
            for tick in range(1 if is_still and number == 0 else 25):
                frame = av.VideoFrame.from_ndarray(draw_number(100 * number + tick), format="rgb24")
                frame.pts = tick
                container.mux(encoder.encode(frame))
            container.mux(encoder.encode(None))
    return path


def test_default_streams_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_streams(tmp_path / "several.mkv", 2, default_video=1, default_audio=1)
    assert numbers(read_clip(path, [0.2], None, 0.0, 0.0).frames) == [105]
    assert peaks_s(read_waveform(path, 0.0, 1.0)) == pytest.approx([0.5], abs=0.01)
    notes = probe(path).notes
    assert [note.split(":")[0] for note in notes] == ["2 video streams", "2 audio streams"]
    assert all("number 1 is used" in note for note in notes)
    assert selected_streams() is None
    for variable in env.STREAMS.values():
        monkeypatch.setenv(variable, "")  # undoes at the end what is selected below
    select_streams(0, 0)
    assert selected_streams() == {"video": 0, "audio": 0}
    assert numbers(read_clip(path, [0.2], None, 0.0, 0.0).frames) == [5]
    assert not peaks_s(read_waveform(path, 0.0, 1.0))
    select_streams(None, 2)
    with pytest.raises(MediaError, match=r"several\.mkv: audio_stream is 2, but the file has 2 audio streams"):
        probe(path)
    monkeypatch.setenv(env.STREAMS["audio"], "first")
    with pytest.raises(ConfigError, match="TAVLO_AUDIO_STREAM is 'first'"):
        probe(path)
    with pytest.raises(ConfigError, match="video_stream is -1"):
        select_streams(-1, None)


def test_a_video_is_chosen_before_a_single_image(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "still.mkv", 2, default_video=0, default_audio=1, is_still=True)
    assert numbers(read_clip(path, [0.2], None, 0.0, 0.0).frames) == [105]


def write_with_noise(path: Path, kind: str) -> Path:
    """Writes a clip whose first, default stream of a kind holds random bytes in place of its packets."""
    clip = write_numbered(path.with_name("clip.mkv"), seconds=1.0, click_s=(0.5,)).path
    random = np.random.default_rng(0)
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        noise = container.add_stream_from_template(next(each for each in source.streams if each.type == kind))
        noise.disposition = Disposition.default
        copies = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for copy in copies.values():
            copy.disposition = Disposition(0)
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == kind:
                damaged = av.Packet(random.bytes(packet.size))
                damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
                damaged.stream = noise
                container.mux(damaged)
            packet.stream = copies[packet.stream_index]
            container.mux(packet)
    return path


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_damaged_default_stream_is_left_out(kind: str, tmp_path: Path) -> None:
    path = write_with_noise(tmp_path / "several.mkv", kind)
    assert numbers(read_clip(path, [0.2], None, 0.0, 0.0).frames) == [5]
    assert peaks_s(read_waveform(path, 0.0, 1.0)) == pytest.approx([0.5], abs=0.01)
    assert [note.split(",")[0] for note in probe(path).notes] == [f"2 {kind} streams: number 1 is used"]
