"""Written videos: bytes, times, audio, and damage of the source."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tavlo_pl.data.media import (
    frame_times,
    map_frames,
    probe,
    read_clip,
    read_waveform,
    write_clip,
)
from tavlo_pl.errors import (
    CorruptMediaError,
)
from tests.helpers.clips import (
    NTSC,
    NumberedClip,
    clicks,
    copy_from,
    draw_number,
    write_numbered,
)
from tests.helpers.media_cases import REWRITTEN, numbers, peaks_s, with_hole


def test_a_written_clip_is_the_same_each_time_and_comes_back(tmp_path: Path) -> None:
    sound = clicks(2.0, 16_000, (0.5, 1.5))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, (draw_number(n) for n in range(50)), 25, sound, 16_000)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    np.testing.assert_allclose(frame_times(tmp_path / "a.mp4"), np.arange(50) / 25)
    result = read_clip(tmp_path / "a.mp4", (np.arange(50) + 0.5) / 25, None, 0.0, 2.0)
    assert numbers(result.frames) == list(range(50))
    assert np.corrcoef(result.waveform, sound)[0, 1] > 0.99


def test_colours_and_odd_sizes_survive_writing(tmp_path: Path) -> None:
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50), (0, 0, 0)], np.uint8)
    images = [np.broadcast_to(colour, (63, 95, 3)) for colour in np.repeat(colours, 5, axis=0)]
    write_clip(tmp_path / "clip.mp4", images, NTSC, None, 16_000)
    frames = read_clip(tmp_path / "clip.mp4", frame_times(tmp_path / "clip.mp4")[4::5], None, 0.0, 0.0).frames
    assert frames.shape == (5, 64, 96, 3)
    assert np.abs(frames[:, 32, 48].astype(int) - colours).max() <= 4


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    def images() -> Iterator[np.ndarray]:
        yield draw_number(0)
        raise RuntimeError("no more")

    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the overlay video of yesterday")
    with pytest.raises(RuntimeError, match="no more"):
        write_clip(path, images(), 25, None, 16_000)
    with pytest.raises(ValueError, match="no frame"):
        write_clip(path, [], 25, None, 16_000)
    assert path.read_bytes() == b"the overlay video of yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_film_drawn_over_keeps_its_times_and_its_sound(
    clip: Callable[[str], NumberedClip], name: str, tmp_path: Path
) -> None:
    source, video_file = clip(name).path, tmp_path / "film.mp4"
    drawn_s: list[float] = []

    def invert(frame: np.ndarray, time_s: float) -> np.ndarray:
        drawn_s.append(time_s)
        return 255 - frame

    map_frames(source, video_file, invert)
    time_s = frame_times(source)
    np.testing.assert_allclose(drawn_s, time_s, atol=1e-6)
    np.testing.assert_allclose(frame_times(video_file), time_s, atol=1e-4)
    result = read_clip(video_file, frame_times(video_file), None, 0.0, 2.5)
    assert numbers(255 - result.frames) == list(range(len(time_s)))
    assert peaks_s(result.waveform) == pytest.approx(peaks_s(read_waveform(source, 0.0, 2.5)), abs=1e-3)


def test_a_film_of_a_cut_file_begins_with_its_first_whole_frame(
    clip: Callable[[str], NumberedClip], tmp_path: Path
) -> None:
    copy_from(clip("open_gop.ts").path, tmp_path / "cut.ts", 0.7)
    map_frames(tmp_path / "cut.ts", tmp_path / "film.mp4", lambda frame, time_s: frame)
    time_s = frame_times(tmp_path / "film.mp4")
    np.testing.assert_allclose(time_s, frame_times(tmp_path / "cut.ts"), atol=1e-4)
    assert numbers(read_clip(tmp_path / "film.mp4", time_s, None, 0.0, 0.0).frames) == list(range(24, 50))


@pytest.mark.parametrize("turn_deg", [0, -90])
def test_a_film_keeps_the_shape_of_pixels(turn_deg: int, tmp_path: Path) -> None:
    pixel = Fraction(16, 11)
    source = write_numbered(tmp_path / "cctv.mp4", seconds=0.2, turn_deg=turn_deg, pixel=pixel, click_s=()).path
    map_frames(source, tmp_path / "film.mp4", lambda frame, time_s: frame)
    with av.open(str(tmp_path / "film.mp4")) as video_file:
        assert video_file.streams.video[0].sample_aspect_ratio == (1 / pixel if turn_deg else pixel)


def test_map_frames_copies_or_encodes_the_audio(tmp_path: Path) -> None:
    def sound_packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    for name, codec in (("aac.mp4", "aac"), ("mp3.mp4", "mp3")):
        source = write_numbered(tmp_path / name, audio_codec=codec).path
        map_frames(source, tmp_path / "film.mp4", lambda frame, time_s: frame)
        assert sound_packets(tmp_path / "film.mp4") == sound_packets(source)
    source = write_numbered(tmp_path / "flac.mkv", audio_codec="flac", click_s=(0.5, 1.99)).path
    map_frames(source, tmp_path / "film.mp4", lambda frame, time_s: frame)
    assert peaks_s(read_waveform(tmp_path / "film.mp4", 0.0, 2.0)) == pytest.approx([0.5, 1.99], abs=1e-3)
    silent = write_numbered(tmp_path / "silent.mp4", audio=False).path
    map_frames(silent, tmp_path / "film.mp4", lambda frame, time_s: frame)
    assert not probe(tmp_path / "film.mp4").has_audio


def test_a_damaged_film_is_not_drawn_over(clip: Callable[[str], NumberedClip], tmp_path: Path) -> None:
    source = tmp_path / "hole.mp4"
    source.write_bytes(with_hole(clip("b_frames.mp4").path.read_bytes(), 0.33))
    with pytest.raises(CorruptMediaError, match=r"hole\.mp4: damaged"):
        map_frames(source, tmp_path / "film.mp4", lambda frame, time_s: frame)
    assert list(tmp_path.iterdir()) == [source]
