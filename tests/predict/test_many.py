"""A folder of 30 good and 12 bad files of all kinds, through the command line."""

import json
import os
from pathlib import Path
from typing import Any

import av
import pytest

from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

PCM = {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}
MPEG = {"video_codec": "mpeg2video", "audio_codec": "mp2", "x264": ""}
GOOD: dict[bytes, dict[str, Any]] = {
    b"plain.mp4": {},
    b"no_utf_8_\xe9.mp4": {},
    b"back\\slash.mp4": {},
    ("影" * 77 + ".mp4").encode(): {},
    b"new\nline.mp4": {},
    b"-dash.mp4": {},
    b" space .mp4": {},
    b"100% #1 [x] 'y' \"z\" <b>.mp4": {},
    b"a/b.mp4": {},
    b"a__b.mp4": {},
    b"Case.mp4": {},
    b"case.mp4": {},
    b"caf\xc3\xa9.mp4": {},
    b"cafe\xcc\x81.mp4": {},
    b"same.mp4": {},
    b"same.mkv": {},
    b"x.attention.mp4": {},
    b"00001.MTS": {},
    b"00002.m2ts": {"options": {"mpegts_m2ts_mode": "1"}},
    b"VTS_01_1.VOB": MPEG,
    b"c.mpg": MPEG,
    b"d.mxf": MPEG | {"audio_codec": "pcm_s16le"},
    b"e.f4v": {},
    b"f.flv": {},
    b"g.mov": PCM,
    b"h.avi": PCM,
    b"i.asf": PCM,
    b"j.webm": {"video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    b"k.dv": {"video_codec": "dvvideo", "audio_codec": "pcm_s16le", "size": (576, 720), "channel_gains": (1.0, 1.0)},
    b"no suffix": {},
}
BAD: dict[str, tuple[Any, str]] = {
    "empty.mp4": (b"", "the file is empty"),
    "page.mp4": (b"<!doctype html><p>gone", "not a media file but an HTML page"),
    "zeros.mp4": (bytes(5000), "begins with 512 zero bytes"),
    "list.mp4": (b"ffconcat version 1.0\nfile a.mp4\n", "a list of other files"),
    "photo.mov": (b"\xff\xd8\xff\xe0" + bytes(500), "not a media file but a JPEG image"),
    "zip.mkv": (b"PK\x03\x04" + bytes(500), "not a media file but a ZIP archive"),
    "real.avi": (b".RMF" + bytes(500), "RealMedia is not in the list of containers"),
    "mute.mp4": ({"audio": False}, "no audio stream"),
    "blind.mp4": ({"video": False}, "no video stream"),
    "cut.mp4": ({}, "an MP4 without its index"),
    "b_frames.avi": ({"audio_codec": "pcm_s16le", "x264": "bframes=3:b-adapt=0:keyint=12"}, "has B-frames"),
    "still.gif": ("gif", "no audio stream"),
}


def write_good(folder: Path) -> None:
    """30 videos of 0.8 s; names that the file system stores as bytes."""
    (folder / "a").mkdir(parents=True)
    for number, (name, options) in enumerate(GOOD.items()):
        suffix = os.path.splitext(os.fsdecode(name))[1].lower()
        path = folder / f"{number}.{ {'.mts': 'ts', '.f4v': 'mp4', '.vob': 'vob', '': 'mp4'}.get(suffix, suffix[1:]) }"
        write_numbered(path, seconds=0.8, click_s=(0.4,), **options)
        path.rename(os.fsdecode(bytes(folder) + b"/" + name))


def write_bad(folder: Path) -> None:
    """12 files that cannot be localized."""
    for name, (content, _) in BAD.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, dict):
            write_numbered(folder / name, seconds=0.8, **content)
        else:
            with av.open(str(folder / name), "w") as container:
                stream = container.add_stream("gif", rate=5)
                stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb8"
                for _ in range(3):
                    container.mux(stream.encode(av.VideoFrame(32, 32, "rgb8")))
                container.mux(stream.encode())
    path = folder / "cut.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_folder_of_good_and_bad_files(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "in" / "maps"
    write_good(root)
    write_bad(root)
    (root / "notes.txt").write_text("no video")
    outcome = tavlo("predict", "--data.root", root, "--out", out, "--trainer.enable_progress_bar", "false")
    assert outcome.code == 1
    assert "42 videos: 30 written" in outcome.out and "12 failed" in outcome.out
    failed = [line for line in outcome.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 12
    for name, (_, words) in BAD.items():
        assert any(f"/{name}: " in line and words in line for line in failed), name
    assert "12 of 42 videos failed, all others are written" in outcome.err
    assert "1 left out: 1 no video (.txt 1)" in outcome.out
    results = {path.name.removesuffix(".sources.json") for path in out.glob("*.sources.json")}
    assert len(results) == 30
    for suffix in (".npz", ".jpg", ".mp4"):
        assert {path.name.removesuffix(suffix) for path in out.glob(f"*{suffix}")} == results
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<article") == 30
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.sources.json")]
    assert sorted(each["video"] for each in stored) == sorted(
        Path(os.fsdecode(name)).name.encode("utf-8", "backslashreplace").decode() for name in GOOD
    )
    again = tavlo("predict", "--data.root", root, "--out", out, "--trainer.enable_progress_bar", "false")
    assert again.code == 1
    assert "42 videos: 0 written, 30 finished before" in again.out
