"""CPU time to read T frames, the audio and its log-mel spectrogram, relative to a full decode.

The clips are synthetic, 640 x 360 at 30 fps, 10 s. One full decode is ``ffmpeg -threads 1 -i X -f null -``, if
ffmpeg is installed, including audio and the start of the program; the other one decodes only the video stream, with
PyAV. Rounds alternate between all of them.
"""

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.report import command_cpu_s, cpu_s, ratio, write
from tavlo_pl.data.media import read_clip
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.data.synthetic.write import SyntheticJob, World, write_job

CLIPS = 4
ROUNDS = 7
DURATION_S = 10.0
WORLD = World(0, "standard", None, DURATION_S, frame_rate=30, width=640, height=360, frames_annotated=1)


def decode_all(path: Path) -> None:
    """Decodes every frame in one thread without converting it; no audio."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for _ in container.decode(video=0):
            pass


def read(frames: int) -> Callable[[Path], None]:
    """Returns a function that reads frames of 224 x 224 pixels, the waveform and its log-mel spectrogram."""
    times_s = (np.arange(frames) + 0.5) * DURATION_S / frames
    log_mel = LogMel(segments=10, columns_per_segment=100, mel_bands=64)

    def read_one(path: Path) -> None:
        clip = read_clip(path, times_s, (224, 224), 0.0, DURATION_S)
        with torch.no_grad():
            log_mel(torch.from_numpy(clip.waveform)[None])

    return read_one


def main() -> None:
    """Measures and writes the results."""
    torch.set_num_threads(1)
    pyav = "a full decode by PyAV, video only"
    ffmpeg = "ffmpeg -threads 1 -i X -f null -"
    ways: dict[str, Callable[[Path], object]] = {pyav: decode_all, "T = 10": read(10), "T = 32": read(32)}
    taken_s: dict[str, list[float]] = {way: [] for way in ways}
    has_ffmpeg = shutil.which("ffmpeg") is not None
    if not has_ffmpeg:
        print("ffmpeg is not on PATH: no ratio to it is measured")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CLIPS):
            write_job(SyntheticJob(WORLD, Path(folder), "train", None, number))
        paths = sorted(Path(folder).rglob("*.mp4"))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                taken_s[name].append(sum(cpu_s(partial(way, path)) for path in paths) / CLIPS)
            if has_ffmpeg:
                commands = [[str(path) if word == "X" else word for word in ffmpeg.split()] for path in paths]
                taken_s.setdefault(ffmpeg, []).append(sum(map(command_cpu_s, commands)) / CLIPS)
    least = {name: f"{1000 * min(values):.0f} ms CPU a clip" for name, values in taken_s.items()}
    rows = [
        ratio(
            f"{name}, audio and log-mel",
            taken_s[name],
            taken_s[limit],
            f"of {limit}",
            f"{least[name]}, the limit {least[limit]}",
        )
        for name in ("T = 10", "T = 32")
        for limit in taken_s
        if limit not in ("T = 10", "T = 32")
    ]
    write("decode", rows)


if __name__ == "__main__":
    main()
