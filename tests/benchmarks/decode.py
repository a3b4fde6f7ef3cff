"""How much of a full decode does reading T frames, the sound and its log-mel cost?   make bench

The clips are the procedural world's at 640 x 360, 30 fps and 10 s. The rounds of all ways are interleaved; a ratio is
the median over rounds, with its range.
"""

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
from tests.benchmarks.report import ratio, write

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
    """Measures the CPU time a clip of each way, and its ratio to the limit, and writes."""
    torch.set_num_threads(1)
    limit = "all frames decoded"
    ways = {limit: decode_all, "T = 10 and log-mel": read(10), "T = 32 and log-mel": read(32)}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CLIPS):
            write_job(Job(WORLD, Path(folder), "train", None, number))
        paths = sorted(Path(folder).rglob("*.mp4"))
        taken_s = np.empty((ROUNDS, len(ways)))
        for number in range(ROUNDS):
            for column, way in enumerate(ways.values()):
                start_s = time.process_time()
                for path in paths:
                    way(path)
                taken_s[number, column] = (time.process_time() - start_s) / CLIPS
    told = [f"{1000 * least_s:.0f} ms CPU a clip" for least_s in taken_s.min(0)]
    first, *others = taken_s.T
    rows = [
        ratio(name, way, first, f"of {limit}", f"{cost}, the limit {told[0]}")
        for name, way, cost in zip([*ways][1:], others, told[1:], strict=True)
    ]
    write("decode", rows)


if __name__ == "__main__":
    main()
