"""Names of live inputs, and a file that is played in real time."""

import sys
import threading
import time
from pathlib import Path

import av
import pytest

from tavlo_pl.data.media.live import LiveBuffer, LiveReader
from tavlo_pl.data.media.live_input import LiveInput
from tavlo_pl.errors import ConfigError, MediaError, NoAudioError, NoVideoError
from tests.helpers.clips import read_number, write_numbered


@pytest.mark.parametrize(
    ("text", "address", "form", "paced"),
    [
        ("v4l2:/dev/video2", "/dev/video2", "v4l2", False),
        ("avfoundation:0:1", "0:1", "avfoundation", False),
        ("lavfi:testsrc", "testsrc", "lavfi", True),
        ("rtsp://host/path", "rtsp://host/path", None, False),
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000", None, False),
    ],
)
def test_input_is_parsed(text: str, address: str, form: str | None, paced: bool) -> None:
    assert LiveInput.of(text) == LiveInput(text, address, form, paced)
    assert LiveInput.is_live(text)


def test_camera_is_the_device_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    camera = LiveInput.of("camera:1")
    assert (camera.format, camera.address) == ("v4l2", "/dev/video1")
    assert camera.microphone == LiveInput("alsa:default", "default", "alsa", False)
    monkeypatch.setattr(sys, "platform", "darwin")
    camera = LiveInput.of("camera:1")
    assert (camera.format, camera.address, camera.microphone) == ("avfoundation", "1:0", None)


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    for text, error in (("camera:front", ConfigError), ("ftp://host/a", ConfigError), ("none.mp4", MediaError)):
        with pytest.raises(error, match=text):
            LiveInput.of(text)
    assert not LiveInput.is_live("a" * 5000)
    assert not LiveInput.is_live("clips/*.mp4")
    file = tmp_path / "list.m3u8"
    file.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError, match=r"list\.m3u8: cannot be opened"):
        LiveInput.of(str(file)).open()
    with pytest.raises(MediaError, match=r"v4l2:/dev/none: cannot be opened"):
        LiveInput.of("v4l2:/dev/none").open()


def test_input_needs_video_and_audio(tmp_path: Path) -> None:
    buffer = LiveBuffer(1.0, 4, 32)
    silent, blind = tmp_path / "silent.mp4", tmp_path / "blind.mp4"
    write_numbered(silent, seconds=0.2, audio=False)
    write_numbered(blind, seconds=0.2, video=False)
    with pytest.raises(NoAudioError, match="name a microphone with --audio"):
        LiveReader(LiveInput.of(str(silent)), ("video", "audio"), buffer)
    with pytest.raises(NoVideoError, match="no video stream"):
        LiveReader(LiveInput.of(str(blind)), ("video", "audio"), buffer)


def test_file_is_played_in_real_time(tmp_path: Path) -> None:
    write_numbered(tmp_path / "clip.mp4", seconds=1.0, click_s=(0.5,))
    buffer = LiveBuffer(1.0, 4, 96)
    reader = LiveReader(LiveInput.of(str(tmp_path / "clip.mp4")), ("video", "audio"), buffer)
    began_s = time.monotonic()
    reader.start()
    reader._thread.join(60)
    assert time.monotonic() - began_s > 0.8
    assert reader.failure is None
    assert buffer.count + buffer.dropped == 25
    window = buffer.window(0, 0.0)
    assert window is not None
    assert abs(read_number(window.shown) - 23) <= 1
    reader.stop()


def test_damaged_packets_of_a_stream_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "clip.ts"
    write_numbered(file, seconds=0.4)
    content = bytearray(file.read_bytes())
    for position in range(188 * 20, len(content), 188 * 7):
        content[position + 40 : position + 80] = bytes(40)
    file.write_bytes(content)
    buffer = LiveBuffer(1.0, 4, 32)
    reader = LiveReader(LiveInput.of(str(file)), ("video", "audio"), buffer)
    reader.start()
    reader._thread.join(60)
    assert not reader.is_alive
    assert buffer.count > 0


@pytest.mark.slow
def test_stream_over_udp_is_read_and_its_end_is_reported(tmp_path: Path) -> None:
    address = "udp://127.0.0.1:52817"
    write_numbered(tmp_path / "clip.ts", seconds=4.0)
    stopped = threading.Event()

    def send() -> None:
        with (
            av.open(str(tmp_path / "clip.ts")) as clip,
            av.open(f"{address}?pkt_size=1316", "w", format="mpegts") as out,
        ):
            copies = {stream.index: out.add_stream_from_template(stream) for stream in clip.streams}
            began_s = time.monotonic()
            for packet in clip.demux():
                if packet.dts is not None and not stopped.is_set():
                    time.sleep(max(0.0, float(packet.dts * packet.time_base) - 1.4 - (time.monotonic() - began_s)))
                    packet.stream = copies[packet.stream_index]
                    out.mux(packet)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        buffer = LiveBuffer(1.0, 4, 96)
        reader = LiveReader(LiveInput.of(address), ("video", "audio"), buffer)
        reader.start()
        reader._thread.join(60)
        assert buffer.count > 10
        assert reader.failure is not None
        assert "nothing came for 5 s" in str(reader.failure)
    finally:
        stopped.set()
        sender.join()
