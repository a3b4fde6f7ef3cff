"""Is it the right frame and the right sound, are they on one clock, and does damage end as a clear error?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tavlo_pl.data.media import (
    SAMPLE_RATE_HZ,
    frame_times,
    map_frames,
    probe,
    probe_audio_duration,
    read_clip,
    read_waveform,
    timed_file,
    write_clip,
)
from tavlo_pl.errors import (
    CorruptMediaError,
    EmptyMediaError,
    MediaError,
    NoAudioError,
    NotMediaError,
    NoVideoError,
)
from tests.helpers.clips import (
    NumberedClip,
    clicks,
    copy_from,
    has_flash,
    write_numbered,
)
from tests.helpers.media_cases import B_PYRAMID, each_case, numbers, peaks_s, with_hole


@each_case
def test_times_are_those_that_were_written(clip: Callable[[str], NumberedClip], name: str) -> None:
    written = clip(name).times_s
    found = frame_times(clip(name).path)
    assert len(found) == len(written)
    np.testing.assert_allclose(found - found[0], written - written[0], atol=0.0011)  # Matroska rounds to ms


@each_case
def test_the_frame_is_the_one_shown(clip: Callable[[str], NumberedClip], name: str) -> None:
    path, time_s = clip(name).path, frame_times(clip(name).path)
    shown_until_s = np.append(time_s[1:], time_s[-1] + 0.02)
    order = np.random.default_rng(1).permutation(len(time_s))
    for share in (0.0, 0.5, 0.95):  # at its own time, in the middle and just before the next
        asked_s = (time_s + share * (shown_until_s - time_s))[order]
        result = read_clip(path, asked_s, None, 0.0, 0.0)
        assert numbers(result.frames) == order.tolist()
        np.testing.assert_array_equal(result.frame_time_s, time_s[order])


@each_case
def test_a_time_may_be_a_rounding_error_early(clip: Callable[[str], NumberedClip], name: str) -> None:
    path, time_s = clip(name).path, frame_times(clip(name).path)
    asked_s = np.floor(time_s * 1e7) / 1e7
    assert numbers(read_clip(path, asked_s, None, 0.0, 0.0).frames) == list(range(len(time_s)))


@each_case
def test_image_and_sound_are_on_one_clock(clip: Callable[[str], NumberedClip], name: str) -> None:
    path, time_s = clip(name).path, frame_times(clip(name).path)
    result = read_clip(path, time_s, None, 0.0, 3.0)
    flashes = [number for number, frame in enumerate(result.frames) if has_flash(frame)]
    heard_s = peaks_s(result.waveform)
    assert len(flashes) == 2 or name == "sound_late.mp4"
    for heard, number in zip(heard_s, flashes, strict=True):
        assert time_s[number] - 0.002 <= heard <= time_s[number + 1] + 0.002


def test_time_zero_is_the_earlier_of_image_and_sound(clip: Callable[[str], NumberedClip]) -> None:
    assert frame_times(clip("video_late.mp4").path)[0] == pytest.approx(0.7)
    assert peaks_s(read_waveform(clip("video_late.mp4").path, 0, 3)) == pytest.approx([1.0, 1.5], abs=1e-3)
    assert frame_times(clip("sound_late.mp4").path)[0] == 0.0
    assert peaks_s(read_waveform(clip("sound_late.mp4").path, 0, 3)) == pytest.approx([0.9, 1.9], abs=1e-3)
    assert frame_times(clip("late.mkv").path)[0] == 0.0
    assert peaks_s(read_waveform(clip("late.mkv").path, 0, 3)) == pytest.approx([0.7, 1.7], abs=1e-3)
    # AAC's first 21 ms are padding that this container cannot mark, so they count as sound.
    assert frame_times(clip("both_late.mp4").path)[0] == pytest.approx(0.022, abs=2e-3)


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_gop.mp4", "open_gop.ts"])
def test_a_frame_alone_is_the_same_to_the_bit(clip: Callable[[str], NumberedClip], name: str) -> None:
    path, time_s = clip(name).path, frame_times(clip(name).path)
    together = read_clip(path, time_s, None, 0.0, 0.0).frames
    for number, at in enumerate(time_s):
        np.testing.assert_array_equal(read_clip(path, [at], None, 0.0, 0.0).frames[0], together[number])


def test_a_span_far_into_the_file(clip: Callable[[str], NumberedClip]) -> None:
    path, time_s = clip("open_gop.mp4").path, frame_times(clip("open_gop.mp4").path)
    result = read_clip(path, time_s[40:], None, 1.4, 0.2)
    assert numbers(result.frames) == list(range(40, 50))
    np.testing.assert_allclose(result.waveform, read_waveform(path, 0.0, 2.0)[22_400:25_600], atol=1e-6)


def test_before_the_first_and_after_the_last_frame(clip: Callable[[str], NumberedClip]) -> None:
    path = clip("video_late.mp4").path
    result = read_clip(path, [0.1, 99.0], None, 0.0, 0.0)
    assert numbers(result.frames) == [0, 49]
    assert result.frame_time_s == pytest.approx([0.7, 0.7 + 49 / 25])


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_gop.mp4", "open_gop.ts"])
def test_a_file_cut_without_decoding(clip: Callable[[str], NumberedClip], name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    copy_from(clip(name).path, path, 0.7)
    time_s = frame_times(path)
    result = read_clip(path, time_s, None, 0.0, 1.2)
    # 18 is the first frame after the cut; a transport stream cannot hide, so it starts at a key frame.
    first = 18 if path.suffix == ".mp4" else 24
    assert numbers(result.frames) == list(range(first, 50))
    (flash,) = [at for at, frame in zip(time_s, result.frames, strict=True) if has_flash(frame)]
    assert flash - 0.002 <= peaks_s(result.waveform)[-1] <= flash + 0.042


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_clicks_are_in_place_to_two_samples(tmp_path: Path, rate_hz: int) -> None:
    asked_s = (0.25, 1.0, 1.67)
    path = write_numbered(tmp_path / "clip.mp4", sample_rate_hz=rate_hz, click_s=asked_s).path
    for start_s in (0.0, 0.1, 0.2113):
        found = np.array(peaks_s(read_waveform(path, start_s, 1.75))) + start_s
        np.testing.assert_allclose(found, asked_s, atol=2.01 / SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("b.mp4", "mp3"), ("c.mkv", "pcm_s16le"), ("d.mkv", "flac"), ("e.mkv", "pcm_u8")],
)
def test_mono_is_the_mean_of_the_channels(tmp_path: Path, name: str, codec: str) -> None:
    for gains in ((1.0, 0.0), (1.0, 1.0)):
        path = write_numbered(tmp_path / name, audio_codec=codec, channel_gains=gains, video=False).path
        waveform = read_waveform(path, 0.0, 2.0)
        assert waveform.max() == pytest.approx(0.8 * np.mean(gains), rel=0.07)
        assert peaks_s(waveform) == pytest.approx([0.5, 1.5], abs=1e-3)


def test_surround_sound_is_as_loud_as_its_stereo_mix(tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    weights = (0.5, 0.5, 0.707, 0.0, 0.354, 0.354)  # front left, front right, centre, effects, back left, back right
    for channel, weight in enumerate(weights):
        write_numbered(path, audio_codec="pcm_s16le", channel_gains=np.eye(6)[channel], video=False)
        assert read_waveform(path, 0.0, 2.0).max() == pytest.approx(0.8 * weight, rel=0.07, abs=1e-3)


def test_waveform_has_the_length_and_is_padded_with_silence(
    clip: Callable[[str], NumberedClip],
) -> None:
    path = clip("sound_late.mp4").path
    waveform = read_waveform(path, 0.0, 3.33333)
    assert waveform.shape == (53_333,)
    assert waveform.dtype == np.float32
    assert not waveform[: int(0.37 * SAMPLE_RATE_HZ)].any()
    assert not waveform[int(2.45 * SAMPLE_RATE_HZ) :].any()
    assert not read_waveform(path, 10.0, 1.0).any()
    np.testing.assert_allclose(read_waveform(path, -0.5, 2.0)[8_000:], waveform[:24_000], atol=1e-6)


def test_frames_are_scaled_by_area(tmp_path: Path) -> None:
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    write_clip(tmp_path / "clip.mp4", [stripes] * 3, 25, None, 16_000, crf=1)
    frames = read_clip(tmp_path / "clip.mp4", [0.0], (16, 24), 0.0, 0.0).frames
    assert frames.shape == (1, 16, 24, 3)
    assert np.abs(frames[0, 2:-2, 2:-2].astype(int) - 128).max() < 8  # dropping columns would leave 0 or 255


def test_probe_reads_the_headers(clip: Callable[[str], NumberedClip], tmp_path: Path) -> None:
    info = probe(clip("ntsc.mp4").path)
    assert (info.width, info.height, info.frame_count, info.has_audio) == (96, 64, 60, True)
    assert info.frame_rate == pytest.approx(29.97, abs=0.01)
    assert info.duration_s == pytest.approx(2.0, abs=0.01)
    assert not probe(write_numbered(tmp_path / "silent.mp4", audio=False).path).has_audio


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.ogg", "libopus"), ("a.mp3", "mp3")]
)
def test_a_recording_without_video(tmp_path: Path, name: str, codec: str) -> None:
    path = write_numbered(tmp_path / name, video=False, audio_codec=codec).path
    assert probe_audio_duration(path) == pytest.approx(2.0, abs=0.03)
    assert peaks_s(read_waveform(path, 0.0, 2.0)) == pytest.approx([0.5, 1.5], abs=1e-3)


def test_what_is_not_wanted_need_not_be_there(tmp_path: Path) -> None:
    silent = write_numbered(tmp_path / "silent.mp4", audio=False).path
    assert numbers(read_clip(silent, [0.5], None, 0.0, 0.0).frames) == [12]
    blind = write_numbered(tmp_path / "blind.mp4", video=False).path
    result = read_clip(blind, [0.5], None, 0.0, 2.0, with_video=False)
    assert len(result.frames) == len(result.frame_time_s) == 0
    assert peaks_s(result.waveform) == pytest.approx([0.5, 1.5], abs=1e-3)


BROKEN: dict[str, tuple[type[MediaError], Callable[[Callable[[str], NumberedClip]], bytes]]] = {
    "empty.mp4": (EmptyMediaError, lambda clip: b""),
    "page.mp4": (NotMediaError, lambda clip: b"<html><body>404 not found</body></html>"),
    "noise.mp4": (NotMediaError, lambda clip: np.random.default_rng(0).bytes(5000)),
    "half.mp4": (CorruptMediaError, lambda clip: clip("b_frames.mp4").path.read_bytes()[:4000]),
    "half_fragmented.mp4": (CorruptMediaError, lambda clip: clip("fragmented.mp4").path.read_bytes()[:4000]),
    "half.mkv": (CorruptMediaError, lambda clip: clip("b_frames.mkv").path.read_bytes()[:2600]),
    "hole.mp4": (CorruptMediaError, lambda clip: with_hole(clip("b_frames.mp4").path.read_bytes(), 0.33)),
    "hole.mkv": (CorruptMediaError, lambda clip: with_hole(clip("b_frames.mkv").path.read_bytes(), 0.33)),
    "hole.ts": (CorruptMediaError, lambda clip: with_hole(clip("transport.ts").path.read_bytes(), 1 / 3)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_clear_error(clip: Callable[[str], NumberedClip], name: str, tmp_path: Path) -> None:
    expected, make = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(make(clip))
    with pytest.raises(expected) as caught:
        read_clip(path, np.arange(10) / 5, None, 0.0, 2.0)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_list_of_other_files_is_no_media(tmp_path: Path) -> None:
    write_numbered(tmp_path / "private.mp4", seconds=0.4, click_s=())
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile private.mp4\n")
    with pytest.raises(NotMediaError, match=r"a\.mp4"):
        probe(tmp_path / "a.mp4")


def test_most_flipped_bits_are_noticed(tmp_path: Path) -> None:
    """Without strict error detection the decoder conceals most of them and returns wrong frames."""
    texture = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    path = tmp_path / "clip.mp4"
    write_clip(path, (np.roll(texture, (n, 2 * n), (0, 1)) for n in range(25)), 25, None, 16_000)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    whole, noticed = path.read_bytes(), 0
    for seed in range(24):
        draw, damaged = np.random.default_rng(seed), bytearray(whole)
        for position, size in draw.permutation(packets)[:3]:
            damaged[position + draw.integers(8, max(9, size))] ^= 16
        path.write_bytes(damaged)
        try:
            read_clip(path, [0.1, 0.5, 0.9], None, 0.0, 0.0)
        except CorruptMediaError:
            noticed += 1
    assert noticed >= 14  # 6 where the decoder may conceal


def test_a_file_cut_short_behind_its_index(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.mp4", options={"movflags": "+faststart"}).path
    path.write_bytes(path.read_bytes()[:-1500])
    for read in (probe, frame_times, lambda path: read_waveform(path, 0.0, 0.1)):
        with pytest.raises(CorruptMediaError, match="truncated"):
            read(path)


def test_missing_streams_and_files_are_named(tmp_path: Path) -> None:
    silent = write_numbered(tmp_path / "silent.mp4", audio=False).path
    with pytest.raises(NoAudioError, match=r"silent\.mp4: no audio stream"):
        read_clip(silent, [0.5], None, 0.0, 1.0)
    blind = write_numbered(tmp_path / "blind.mp4", video=False).path
    for read in (probe, frame_times, lambda path: read_clip(path, [0.5], None, 0.0, 1.0)):
        with pytest.raises(NoVideoError, match=r"blind\.mp4: no video stream"):
            read(blind)
    with pytest.raises(MediaError, match="no such file"):
        probe(tmp_path / "nowhere.mp4")


def test_a_container_without_presentation_times_is_refused(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.avi", audio_codec="pcm_s16le", x264=B_PYRAMID).path
    with pytest.raises(MediaError, match="convert the file to MP4"):
        read_clip(path, [0.5], None, 0.0, 1.0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".fragmented.mp4"])
def test_a_seek_gives_the_very_frames_and_sound_of_reading_on(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form: dict[str, Any] = {"x264": "keyint=30:bframes=3:b-pyramid=normal:b-adapt=0:open-gop=1"}
    if suffix == ".avi":
        form = {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}
    if "fragmented" in suffix:
        form["options"] = {"movflags": "frag_keyframe+empty_moov"}
    path = write_numbered(tmp_path / f"clip{suffix}", seconds=8.0, click_s=(0.5, 4.5, 7.5), **form).path
    spans = [(start_s, start_s + np.arange(4) * 0.25) for start_s in (3.0, 4.37, 6.9)]
    assert len(frame_times(path)) == 200  # a file that was not read before is read from its start

    def read_all() -> list[Any]:
        return [read_clip(path, times_s, None, start_s, 1.0) for start_s, times_s in spans]

    sought: list[float] = []
    real = timed_file.seek
    monkeypatch.setattr(timed_file, "seek", lambda *place: (sought.append(place[-1]), real(*place))[1])
    with_seek = read_all()
    assert len(sought) == (0 if suffix == ".ts" else len(spans))
    monkeypatch.setattr(timed_file, "seek", lambda *_: False)  # a container that cannot
    for (start_s, times_s), one, two in zip(spans, with_seek, read_all(), strict=True):
        shown = np.searchsorted(frame_times(path), times_s + 1e-6, side="right") - 1
        assert numbers(one.frames) == shown.tolist(), start_s
        assert np.array_equal(one.frames, two.frames) and np.array_equal(one.waveform, two.waveform)
        assert np.array_equal(one.frame_time_s, two.frame_time_s)


@pytest.mark.parametrize("lands_s", [5.0, 7.9])
def test_a_seek_that_lands_behind_the_span_is_not_believed(
    lands_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_numbered(tmp_path / "clip.mp4", seconds=8.0, click_s=(3.5,)).path
    assert len(frame_times(path)) == 200
    real = timed_file.seek
    monkeypatch.setattr(timed_file, "seek", lambda container, stream, time_s: real(container, stream, lands_s))
    result = read_clip(path, [3.1, 3.9], None, 3.0, 1.0)
    assert numbers(result.frames) == [77, 97] and peaks_s(result.waveform) == pytest.approx([0.5], abs=1e-3)


@pytest.mark.parametrize("turn_deg", [90, 180, -90])
def test_a_image_that_is_stored_lying_stands_upright(turn_deg: int, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "phone.mp4", seconds=1.0, size=(160, 96), turn_deg=turn_deg).path
    assert (probe(path).height, probe(path).width) == (160, 96)
    frames = read_clip(path, [0.2, 0.6], (80, 48), 0.0, 0.0).frames
    assert frames.shape == (2, 80, 48, 3) and numbers(frames) == [5, 15]
    map_frames(path, tmp_path / "film.mp4", lambda frame, time_s: frame)
    video_file = read_clip(tmp_path / "film.mp4", [0.2, 0.6], None, 0.0, 0.0).frames
    assert video_file.shape == (2, 160, 96, 3) and numbers(video_file) == [5, 15]


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
def test_sound_that_is_no_loudness_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def with_value(*about: Any) -> np.ndarray:
        sound = clicks(*about)
        sound[len(sound) // 2] = value
        return sound

    monkeypatch.setattr("tests.helpers.clips.clicks", with_value)
    path = write_numbered(tmp_path / "loud.mkv", audio_codec="pcm_f32le").path
    with pytest.raises(CorruptMediaError, match=r"loud\.mkv: its audio holds invalid samples"):
        read_waveform(path, 0.0, 2.0)
