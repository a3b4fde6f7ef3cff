"""Which files are videos, and what is said about those that are refused."""

from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.data import media
from tavlo_pl.data.media.container import first_bytes
from tavlo_pl.data.media.recognise import HEAD_BYTES, is_video, is_video_content
from tavlo_pl.data.media.refused import refusal
from tavlo_pl.errors import NotMediaError
from tests.helpers.clips import read_number, write_numbered

PCM = {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}


@pytest.mark.parametrize("name", ["a.MTS", "b.m2ts", "VTS_01_1.VOB", "c.asf", "d.f4v", "e.mxf", "f.dv", "g.gif"])
def test_is_video_by_suffix_opens_no_file(name: str, tmp_path: Path) -> None:
    assert is_video(name, tmp_path / "gone")


@pytest.mark.parametrize("name", [".a.mp4", "__MACOSX/._a.mp4", "a.mp4.part", "b.mkv.crdownload", "c.m4a", "d.heic"])
def test_is_video_leaves_out_other_files(name: str, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mp4", seconds=0.2).path
    assert not is_video(name, path)


@pytest.mark.parametrize(
    ("suffix", "codecs"), [("mp4", {}), ("mkv", {}), ("flv", {}), ("ts", {}), ("avi", PCM), ("mov", PCM), ("asf", PCM)]
)
def test_is_video_content_recognises_containers(suffix: str, codecs: dict[str, str], tmp_path: Path) -> None:
    path = write_numbered(tmp_path / f"a.{suffix}", seconds=0.4, **codecs).path  # type: ignore[arg-type]
    path = path.rename(tmp_path / "without suffix")
    assert is_video(path.name, path)


def test_is_video_content_recognises_camcorders(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.m2ts", seconds=0.4, options={"mpegts_m2ts_mode": "1"}).path
    assert is_video_content(first_bytes(path, HEAD_BYTES))
    assert not is_video_content(b"G" * 100)
    assert not is_video_content(b"    ftypheic" + bytes(300))


@pytest.mark.parametrize("suffix", ["mxf", "dv"])
def test_frames_of_broadcast_containers(suffix: str, tmp_path: Path) -> None:
    codec = {"mxf": "mpeg2video", "dv": "dvvideo"}[suffix]
    size = {"mxf": (64, 96), "dv": (576, 720)}[suffix]
    path = tmp_path / f"a.{suffix}"
    channels = (1.0,) if suffix == "mxf" else (1.0, 1.0)
    write_numbered(path, seconds=1.0, video_codec=codec, audio_codec="pcm_s16le", size=size, channel_gains=channels)
    clip = media.read_clip(path, [0.1, 0.5, 0.9], None, 0.0, 1.0)
    assert [read_number(frame) for frame in clip.frames] == [2, 12, 22]
    assert np.abs(clip.waveform).argmax() / media.SAMPLE_RATE_HZ == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b".RMF\0\0", "RealMedia is not in the list of containers that are read; convert it to MP4"),
        (b"\xb7\xd8\x00\x20\x37\x49\xda\x11", "WTV is not in the list of containers"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "not a media file but an HTML page; fetch it again"),
        (b"#EXTM3U\n", "not a media file but a list of other files"),
        (b'<?xml version="1.0"?><MPD>', "not a media file but a list of other files"),
        (b"\xff\xd8\xff\xe0", "not a media file but a JPEG image"),
        (b"PK\x03\x04", "not a media file but a ZIP archive"),
        (b"version https://git-lfs.github.com", "Git LFS pointer"),
        (bytes(512), "begins with 512 zero bytes"),
        (b"anything", "not a media file; fetch it again"),
    ],
)
def test_refusal_says_what_the_file_is(head: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(head)
    (tmp_path / "a.mp4").write_bytes(head)
    with pytest.raises(NotMediaError, match=r"a\.mp4: "):
        media.probe(tmp_path / "a.mp4")
