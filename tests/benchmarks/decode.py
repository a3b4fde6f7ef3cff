"""How much of a full decode does reading T frames, the sound and its log-mel cost?   make bench

The clips are the procedural world's at 640 x 360, 30 fps and 10 s. A full decode is that of ``ffmpeg -threads 1 -i X -f
null -``, the sound and the start of the program included, where the machine has ffmpeg; and that of the pictures alone
by the FFmpeg inside PyAV, which costs no start. The rounds of all ways are interleaved; a ratio is that of the fastest
rounds, so that no other program on the machine decides, and beside it is its range over rounds.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch

from tavlo_pl.data.media import read_clip
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.data.synthetic.write import Job, World, write_job

CLIPS = 4
ROUNDS = 7
DURATION_S = 10.0
WORLD = World(0, "standard", None, DURATION_S, frame_rate=30, width=640, height=360, frames_annotated=1)


def decode_all(path: Path) -> None:
    """The limit: every frame decoded in one thread, none converted; no sound."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for _ in container.decode(video=0):
            pass


def ffmpeg(path: Path) -> None:
    """What people measure with."""
    subprocess.run(["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-f", "null", "-"], check=True)


def cpu_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    waited_for = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + waited_for.ru_utime + waited_for.ru_stime


def read(frames: int) -> Callable[[Path], None]:
    """Reading so many frames at 224 x 224, the waveform and its log-mel."""
    times_s = (np.arange(frames) + 0.5) * DURATION_S / frames
    log_mel = LogMel(segments=10, columns_per_segment=100, mel_bands=64)

    def way(path: Path) -> None:
        clip = read_clip(path, times_s, (224, 224), 0.0, DURATION_S)
        with torch.no_grad():
            log_mel(torch.from_numpy(clip.waveform)[None])

    return way


def main() -> None:
    """Prints the fastest CPU time a clip of each way, and its ratio to both limits."""
    torch.set_num_threads(1)
    limits = {"all frames decoded": decode_all}
    if shutil.which("ffmpeg"):
        limits["ffmpeg"] = ffmpeg
    else:
        print("no ffmpeg on PATH: no ratio to it")
    ways = limits | {"T = 10 and log-mel": read(10), "T = 32 and log-mel": read(32)}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CLIPS):
            write_job(Job(WORLD, Path(folder), "train", None, number))
        paths = sorted(Path(folder).rglob("*.mp4"))
        taken_s = np.empty((ROUNDS, len(ways)))
        for number in range(ROUNDS):
            for column, way in enumerate(ways.values()):
                start_s = cpu_s()
                for path in paths:
                    way(path)
                taken_s[number, column] = (cpu_s() - start_s) / CLIPS
    least_s = taken_s.min(0)
    for column, name in enumerate(ways):
        words = [f"{name:<20}{1000 * least_s[column]:7.0f} ms CPU a clip"]
        for against, limit in enumerate(limits):
            ratio = taken_s[:, column] / taken_s[:, against]
            least = least_s[column] / least_s[against]
            words.append(f"{least:.2f} of {limit} ({ratio.min():.2f} to {ratio.max():.2f})")
        print("   ".join(words))


if __name__ == "__main__":
    main()
